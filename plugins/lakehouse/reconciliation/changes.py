"""The rows that commits to an Iceberg table added and removed, by the position of their event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import rows_of, summary_of
from lakehouse.tables.history import is_rewrite, newer_snapshots
from lakehouse.tables.manifests import own_entries, written_by

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

POSITION = ("kafka_partition", "kafka_offset")
FIELD_ID = b"PARQUET:field_id"


class HistoryLost(Exception):
    """The commits since a snapshot cannot be followed: the table has to be read completely."""


@dataclass(frozen=True)
class Change:
    """Rows that a commit added to a table or removed from it.

    :param epoch_ms: time of the commit
    :param rows: positions of the rows, in columns `kafka_partition` and `kafka_offset`
    """

    epoch_ms: int
    added: bool
    rows: pa.RecordBatch


def snapshot_id(table: Table) -> int | None:
    """Id of the table's current snapshot; None before the first."""
    snapshot = table.current_snapshot()
    return snapshot.snapshot_id if snapshot else None


def changes(table: Table, since: int | None) -> Iterator[Change]:
    """The changes by commits after a snapshot, oldest first. Rewrites of the same rows change nothing.

    :param since: id of the snapshot; None: the table was empty
    :raises HistoryLost: the snapshot has expired or is not an ancestor of the current one, or rows were deleted by delete files
    """
    newer, complete = newer_snapshots(table, since)
    if not complete:
        raise HistoryLost
    kept = newer[0].manifests(table.io) if newer else []
    for snapshot in reversed(newer):
        if _rewrites(table, snapshot):
            continue
        for added, file in _files(table, snapshot, kept):
            for batch in _read(table, file):
                yield Change(snapshot.timestamp_ms, added, batch)


def all_rows(table: Table) -> Iterator[pa.RecordBatch]:
    """The positions of all rows that the table has now.

    :raises AirflowException: the table has equality deletes, which are not supported
    """
    try:
        yield from table.scan(selected_fields=POSITION).to_arrow_batch_reader()
    except ValueError as error:
        name = ".".join(table.name())
        raise AirflowException(f"The rows of {name} cannot be counted: {error}. Next: compact the table") from error


def _rewrites(table: Table, snapshot: Snapshot) -> bool:
    """Whether a commit only rewrote rows to other files: its summary says so, and the number of rows is the same."""
    if not is_rewrite(snapshot) or snapshot.parent_snapshot_id is None:
        return False
    parent = table.snapshot_by_id(snapshot.parent_snapshot_id)
    return parent is not None and rows_of(snapshot) == rows_of(parent)


def _files(table: Table, snapshot: Snapshot, kept: list[ManifestFile]) -> Iterator[tuple[bool, DataFile]]:
    """The data files that a commit removed (False), then those that it added (True).

    :param kept: manifests of a later commit, which may still include this commit's
    """
    from pyiceberg.manifest import ManifestContent, ManifestEntryStatus

    own = written_by(snapshot, kept)
    if not _are_all(own, snapshot):
        own = written_by(snapshot, snapshot.manifests(table.io))
    if any(found.content == ManifestContent.DELETES for found in own):
        raise HistoryLost
    entries = [entry for manifest in own for entry in own_entries(table, manifest)]
    for status in (ManifestEntryStatus.DELETED, ManifestEntryStatus.ADDED):
        for entry in entries:
            if entry.status == status and entry.snapshot_id in (None, snapshot.snapshot_id):
                yield status is ManifestEntryStatus.ADDED, entry.data_file


def _are_all(manifests: list[ManifestFile], snapshot: Snapshot) -> bool:
    """Whether these manifests contain all files of a commit that only added data files, according to its summary.

    Later commits keep a manifest until it is merged.
    """
    summary = summary_of(snapshot)
    added = sum(manifest.added_files_count or 0 for manifest in manifests)
    return summary.get("added-data-files") == str(added) and not any(
        int(summary.get(name, 0)) for name in ("deleted-data-files", "added-delete-files", "removed-delete-files")
    )


def _read(table: Table, file: DataFile) -> Iterator[pa.RecordBatch]:
    try:
        batches = _read_parquet(table, file)
        yield from _scan(table, file) if batches is None else batches
    except FileNotFoundError as error:  # a later commit removed the file, and expiry deleted it
        raise HistoryLost from error


def _read_parquet(table: Table, file: DataFile) -> list[pa.RecordBatch] | None:
    """The two columns by their field ids, in a tenth of the time of a scan for a small file; None if one is missing."""
    from pyarrow.parquet import ParquetFile
    from pyiceberg.manifest import FileFormat

    if file.file_format != FileFormat.PARQUET:
        return None
    with table.io.new_input(file.file_path).open() as opened:
        parquet = ParquetFile(opened)
        names = {(field.metadata or {}).get(FIELD_ID): field.name for field in parquet.schema_arrow}
        columns = [names.get(str(table.schema().find_field(name).field_id).encode()) for name in POSITION]
        if None in columns:
            return None
        return parquet.read(columns).select(columns).rename_columns(POSITION).to_batches()


def _scan(table: Table, file: DataFile) -> Iterator[pa.RecordBatch]:
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan
    from pyiceberg.table import FileScanTask

    scan = ArrowScan(table.metadata, table.io, table.schema().select(*POSITION), AlwaysTrue())
    return scan.to_record_batches([FileScanTask(file)])
