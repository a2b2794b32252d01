"""The files that a table references, which orphan removal and the purge of the quarantine must keep."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.maintenance.locations import Location
from lakehouse.maintenance.manifests import Manifests

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


#: Of a path, in bytes: among a million files, two have the same digest with a probability of 10^-27.
DIGEST_BYTES = 16
#: Scheme and authority of each store that has a file of the same path.
Stores = tuple[tuple[str, str], ...]


class Reachable:
    """The referenced files found so far. Metadata that was read is not read again, so that an update costs only what is new.

    Anything that cannot be read raises an error: with an incomplete result, referenced files would count as orphans. Of each file
    it keeps a digest of the path and its stores: about 100 bytes, because a table may have millions.
    """

    def __init__(self) -> None:
        self._stores: dict[bytes, Stores] = {}
        self._known_stores: dict[Stores, Stores] = {}  # so that files share one object

    def __contains__(self, file: Location) -> bool:
        return (file.scheme, file.authority) in self._stores.get(_digest(file), ())

    def add_table(self, table: Table) -> None:
        """Add all files of a table: of the snapshots of all branches and tags, metadata log, statistics, version hint.

        :param table: with its current metadata
        :raises AirflowException: a file cannot be read
        """
        metadata = table.metadata
        addresses = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
        addresses |= {found.statistics_path for found in (*metadata.statistics, *metadata.partition_statistics)}
        self._add(Location.parse(address) for address in addresses)
        folder = table.properties.get("write.metadata.path") or f"{table.location()}/metadata"
        self._add([Location.parse(folder) / "version-hint.text"])
        self._add_snapshots(table, metadata.snapshots)

    def _add_snapshots(self, table: Table, snapshots: Iterable[Snapshot]) -> None:
        """Add manifest lists, manifests, and the data and delete files that are live in them. Errors as above."""
        lists = {Location.parse(snapshot.manifest_list) for snapshot in snapshots}
        lists = {file for file in lists if file not in self}
        if not lists:
            return
        try:
            with Manifests(table.io) as reader:
                manifests = {file: entries for file, entries in reader.of(lists).items() if file not in self}
                self._add(reader.live_files(manifests))
        except AirflowException as error:
            raise AirflowException(
                f"Snapshots of {'.'.join(table.name())} cannot be read ({error}): their files are unknown, so nothing is "
                "removed. Next: make sure that the warehouse is available; restore a missing file with OPERATION=restore."
            ) from error
        self._add((*manifests, *lists))

    def twin(self, file: Location) -> Location | None:
        """The file itself if it is referenced, or else a referenced file with the same path: maybe another name of its store."""
        stores = self._stores.get(_digest(file), ())
        if not stores:
            return None
        if (file.scheme, file.authority) in stores:
            return file
        scheme, authority = stores[-1]
        return Location(scheme, authority, file.path)

    def _add(self, files: Iterable[Location]) -> None:
        for file in files:
            digest = _digest(file)
            stores = self._stores.get(digest, ())
            if (file.scheme, file.authority) not in stores:
                stores = (*stores, (file.scheme, file.authority))
                self._stores[digest] = self._known_stores.setdefault(stores, stores)


def _digest(file: Location) -> bytes:
    return blake2b(file.path.encode(), digest_size=DIGEST_BYTES).digest()
