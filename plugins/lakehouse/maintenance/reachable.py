"""Every file that a table leads to: by it orphan removal and the purge of the quarantine tell what must stay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.maintenance.locations import Location

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


class Reachable:
    """Files that were found so far. What was read once is not read again, so that a second look costs what is new.

    Whatever cannot be read raises: a part of the answer would make orphans of the rest.
    """

    def __init__(self) -> None:
        self.files: set[Location] = set()
        self._by_path: dict[str, Location] = {}

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
        for snapshot in snapshots:
            manifest_list = Location.parse(snapshot.manifest_list)
            if manifest_list in self.files:
                continue
            try:
                for manifest in snapshot.manifests(table.io):
                    location = Location.parse(manifest.manifest_path)
                    if location not in self.files:
                        entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                        self._add(Location.parse(entry.data_file.file_path) for entry in entries)
                        self._add([location])
            except Exception as error:  # whatever a damaged file makes of its reader
                raise AirflowException(
                    f"Snapshot {snapshot.snapshot_id} of {'.'.join(table.name())} cannot be read ({error}): what it needs is not "
                    "known, so nothing is removed. Next: see that the warehouse answers; bring a file that is gone back "
                    "with OPERATION=restore."
                ) from error
            self._add([manifest_list])

    def twin(self, file: Location) -> Location | None:
        """The file itself, if a table leads to it; else one of the same path, which may be it by another name of its store."""
        return file if file in self.files else self._by_path.get(file.path)

    def _add(self, files: Iterable[Location]) -> None:
        for file in files:
            self.files.add(file)
            self._by_path[file.path] = file
