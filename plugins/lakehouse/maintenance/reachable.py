"""Every file that a table leads to: by it orphan removal and the purge of the quarantine tell what must stay."""

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


class Reachable:
    """Files that were found so far. What was read once is not read again, so that a second look costs what is new.

    Whatever cannot be read raises: a part of the answer would make orphans of the rest. Of each file it keeps a digest of the
    path and in which stores it is: about 100 bytes, because a table may have millions.
    """

    def __init__(self) -> None:
        self._stores: dict[bytes, tuple[tuple[str, str], ...]] = {}
        self._known_stores: dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = {}

    def __contains__(self, file: Location) -> bool:
        return (file.scheme, file.authority) in self._stores.get(_digest(file), ())

    def __len__(self) -> int:
        return sum(len(stores) for stores in self._stores.values())

    def add_table(self, table: Table) -> None:
        """Everything: each snapshot of whichever branch or tag, metadata log, statistics, version hint.

        :param table: as its newest metadata describes it
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
        """Manifest lists, manifests, and the data and delete files that are live in them. Errors as above."""
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
                f"Snapshots of {'.'.join(table.name())} cannot be read ({error}): what they need is not known, so nothing is "
                "removed. Next: see that the warehouse answers; bring a file that is gone back with OPERATION=restore."
            ) from error
        self._add((*manifests, *lists))

    def twin(self, file: Location) -> Location | None:
        """The file itself, if a table leads to it; else one of the same path, which may be it by another name of its store."""
        stores = self._stores.get(_digest(file), ())
        if not stores or (file.scheme, file.authority) in stores:
            return file if stores else None
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
