"""Column bounds of the files that commits added, from the table's metadata: no data is read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lakehouse.tables.history import adds_rows, newest_first

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (Iceberg's TIMESTAMP has no zone)


def maxima(table: Table, column: str) -> Iterator[tuple[int, datetime]]:
    """Of each commit that added rows, newest first: its time in epoch milliseconds, and the maximum of a TIMESTAMP column."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import TimestampType

    field = table.schema().find_field(column)
    for snapshot in newest_first(table):
        if not adds_rows(snapshot):
            continue
        bounds = [(file.upper_bounds or {}).get(field.field_id) for file in _added(table, snapshot)]
        known = [int(from_bytes(TimestampType(), bound)) for bound in bounds if bound is not None]
        if known:
            yield snapshot.timestamp_ms, EPOCH + timedelta(microseconds=max(known))


def latest_maximum(table: Table, column: str) -> datetime | None:
    """The maximum of a TIMESTAMP column in the latest commit that added rows; None without one."""
    return next((value for _, value in maxima(table, column)), None)


def _added(table: Table, snapshot: Snapshot) -> Iterator[DataFile]:
    """The data files that a commit added."""
    from pyiceberg.manifest import ManifestEntryStatus

    for manifest in snapshot.manifests(table.io):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(table.io):
            if entry.status == ManifestEntryStatus.ADDED:
                yield entry.data_file
