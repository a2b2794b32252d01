"""Column bounds of the files that commits added, from the table's metadata: no data is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakehouse.tables.history import adds_rows, newest_first
from lakehouse.tables.manifests import own_entries, written_by

if TYPE_CHECKING:
    from datetime import datetime

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


def maxima(table: Table, column: str) -> Iterator[tuple[int, datetime]]:
    """Of each commit that added rows, newest first: its time in epoch milliseconds, and the maximum of a TIMESTAMP column."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import TimestampType
    from pyiceberg.utils.datetime import micros_to_timestamp

    field = table.schema().find_field(column)
    for snapshot in newest_first(table):
        if not adds_rows(snapshot):
            continue
        bounds = [(file.upper_bounds or {}).get(field.field_id) for file in _added(table, snapshot)]
        known = [int(from_bytes(TimestampType(), bound)) for bound in bounds if bound is not None]
        if known:
            yield snapshot.timestamp_ms, micros_to_timestamp(max(known))


def latest_maximum(table: Table, column: str) -> datetime | None:
    """The maximum of a TIMESTAMP column in the latest commit that added rows; None without one."""
    return next((value for _, value in maxima(table, column)), None)


def _added(table: Table, snapshot: Snapshot) -> Iterator[DataFile]:
    """The data files that a commit added."""
    from pyiceberg.manifest import ManifestEntryStatus

    for manifest in written_by(snapshot, snapshot.manifests(table.io)):
        for entry in own_entries(table, manifest):
            if entry.status == ManifestEntryStatus.ADDED:
                yield entry.data_file
