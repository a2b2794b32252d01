"""Which rows the commits to an Iceberg table added and removed, by the position of their event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import rows_of
from lakehouse.tables.history import is_rewrite, newer_snapshots

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

POSITION = ("kafka_partition", "kafka_offset")


class HistoryLost(Exception):
    """The commits since a snapshot cannot be followed: the table has to be read from its first row."""


@dataclass(frozen=True)
class Change:
    """Some rows that a commit added to a table or removed from it.

    :param epoch_ms: when it was committed
    :param rows: their positions; columns `kafka_partition` and `kafka_offset`
    """

    epoch_ms: int
    added: bool
    rows: pa.RecordBatch


def snapshot_id(table: Table) -> int | None:
    """The table's current snapshot; None before the first."""
    snapshot = table.current_snapshot()
    return snapshot.snapshot_id if snapshot else None


def changes(table: Table, since: int | None) -> Iterator[Change]:
    """What the commits after a snapshot changed, oldest first. A rewrite of the same rows changes nothing.

    :param since: id of the snapshot; None: the table was empty
    :raises HistoryLost: the snapshot is no ancestor of the current one, or was expired; or rows were deleted by delete files
    """
    newer, complete = newer_snapshots(table, since)
    if not complete:
        raise HistoryLost
    for snapshot in reversed(newer):
        if _rewrites(table, snapshot):
            continue
        for added, file in _files(table, snapshot):
            for batch in _read(table, file):
                yield Change(snapshot.timestamp_ms, added, batch)


def all_rows(table: Table) -> Iterator[pa.RecordBatch]:
    """The positions of every row that the table holds now.

    :raises AirflowException: the table has equality deletes, which are not supported
    """
    try:
        yield from table.scan(selected_fields=POSITION).to_arrow_batch_reader()
    except ValueError as error:
        name = ".".join(table.name())
        raise AirflowException(f"The rows of {name} cannot be counted: {error}. Next: compact the table") from error


def _rewrites(table: Table, snapshot: Snapshot) -> bool:
    """Whether a commit put the same rows into other files: says so, and leaves as many rows."""
    parent = table.metadata.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None
    return is_rewrite(snapshot) and parent is not None and rows_of(snapshot) == rows_of(parent)


def _files(table: Table, snapshot: Snapshot) -> Iterator[tuple[bool, DataFile]]:
    """The data files that a commit removed (False), then those that it added (True)."""
    from pyiceberg.manifest import ManifestContent, ManifestEntryStatus

    own = [found for found in snapshot.manifests(table.io) if found.added_snapshot_id == snapshot.snapshot_id]
    if any(found.content == ManifestContent.DELETES for found in own):
        raise HistoryLost
    entries = [entry for manifest in own for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False)]
    for status in (ManifestEntryStatus.DELETED, ManifestEntryStatus.ADDED):
        for entry in entries:
            if entry.status == status and entry.snapshot_id == snapshot.snapshot_id:
                yield status is ManifestEntryStatus.ADDED, entry.data_file


def _read(table: Table, file: DataFile) -> Iterator[pa.RecordBatch]:
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan
    from pyiceberg.table import FileScanTask

    scan = ArrowScan(table.metadata, table.io, table.schema().select(*POSITION), AlwaysTrue())
    try:
        yield from scan.to_record_batches([FileScanTask(file)])
    except FileNotFoundError as error:  # removed by a commit and expired since
        raise HistoryLost from error
