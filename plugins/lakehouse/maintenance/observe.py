"""Collects the state of a table from its metadata and the manifests of its current snapshot. No data is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.airflow.hooks.iceberg import row_count, summary_of
from lakehouse.maintenance.conditions import Partition, Value
from lakehouse.tables.history import is_rewrite

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot


HOUR_MS = 3_600_000


@dataclass(frozen=True)
class PartitionState:
    """One partition, or a whole unpartitioned table.

    :param key: columns with their values, empty for an unpartitioned table; None if a transform hides the values
    :param small_files: number of data files below the threshold
    :param small_bytes: total size of the small files
    :param written_ms: upper bound of when rows were last written (epoch milliseconds); rewrites do not count
    """

    key: Partition | None
    files: int = 0
    small_files: int = 0
    small_bytes: int = 0
    delete_files: int = 0
    written_ms: int = 0


@dataclass(frozen=True)
class TableState:
    """The current state of a table.

    :param snapshot_times: epoch milliseconds of the main branch's snapshots, newest first
    :param manifest_bytes: total size of the current snapshot's manifests
    :param metadata_bytes: size of the current metadata file
    :param inflow_bytes: what writers have added in the hour before the latest commit; rewrites do not count
    """

    name: str
    partitions: tuple[PartitionState, ...] = ()
    manifests: int = 0
    manifest_bytes: int = 0
    metadata_bytes: int = 0
    inflow_bytes: int = 0
    snapshot_times: tuple[int, ...] = ()


@dataclass(frozen=True)
class TableSize:
    """A table's figures, logged before and after an operation; all None if the table cannot be read."""

    rows: int | None = None
    files: int | None = None
    bytes: int | None = None
    snapshots: int | None = None
    manifests: int | None = None


def table_name(table: Table) -> str:
    """`namespace.table`."""
    return ".".join(table.name())


def ancestry(metadata: TableMetadata) -> list[Snapshot]:
    """The main branch's snapshots that have not expired, newest first."""
    by_id: dict[int | None, Snapshot] = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    found, snapshot = [], by_id.get(metadata.current_snapshot_id)
    while snapshot:
        found.append(snapshot)
        snapshot = by_id.get(snapshot.parent_snapshot_id)
    return found


def measure(table: Table) -> TableSize:
    """The figures of a table, from its metadata, the current snapshot's summary, and the manifest list."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return TableSize(0, 0, 0, len(table.metadata.snapshots), 0)
    summary = summary_of(snapshot)
    files = int(summary.get("total-data-files", 0)) + int(summary.get("total-delete-files", 0))
    size = int(summary.get("total-files-size", 0))
    return TableSize(row_count(table), files, size, len(table.metadata.snapshots), len(snapshot.manifests(table.io)))


def observe(table: Table, small_below: float) -> TableState:
    """Collect the state of a table.

    :param small_below: data files with fewer bytes count as small
    """
    line = ancestry(table.metadata)
    manifests = line[0].manifests(table.io) if line else []
    return TableState(
        name=table_name(table),
        partitions=tuple(_partitions(table, line, manifests, small_below)),
        manifests=len(manifests),
        manifest_bytes=sum(manifest.manifest_length for manifest in manifests),
        metadata_bytes=len(table.io.new_input(table.metadata_location)),
        inflow_bytes=_inflow(line),
        snapshot_times=tuple(snapshot.timestamp_ms for snapshot in line),
    )


def _inflow(line: list[Snapshot]) -> int:
    recent = [
        snapshot
        for snapshot in line
        if line[0].timestamp_ms - snapshot.timestamp_ms < HOUR_MS and not is_rewrite(snapshot)
    ]
    return sum(int(summary_of(snapshot).get("added-files-size", 0)) for snapshot in recent)


@dataclass
class _Counted:
    """Counters of one partition."""

    key: Partition | None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(
        ("files", "small_files", "small_bytes", "delete_files", "written_ms"), 0
    ))  # fmt: skip

    def add(self, file: DataFile, is_data: bool, small_below: float, written_ms: int) -> None:
        small = is_data and file.file_size_in_bytes < small_below
        self.counts["files"] += is_data
        self.counts["delete_files"] += not is_data
        self.counts["small_files"] += small
        self.counts["small_bytes"] += file.file_size_in_bytes if small else 0
        self.counts["written_ms"] = max(self.counts["written_ms"], written_ms)


def _partitions(
    table: Table, line: list[Snapshot], manifests: list[ManifestFile], small_below: float
) -> Iterator[PartitionState]:
    from pyiceberg.manifest import DataFileContent

    # A rewrite only moves older rows. Files of expired snapshots are older than the remaining snapshots.
    written: dict[int | None, int] = {
        snapshot.snapshot_id: 0 if is_rewrite(snapshot) else snapshot.timestamp_ms for snapshot in line
    }
    oldest = line[-1].timestamp_ms if line else 0
    found: dict[tuple[int, Any], _Counted] = {}
    for manifest in manifests:
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            file = entry.data_file
            key = (manifest.partition_spec_id, tuple(file.partition[n] for n in range(len(file.partition))))
            partition = found.setdefault(key, _Counted(_key(table, *key)))
            is_data = file.content is DataFileContent.DATA
            partition.add(file, is_data, small_below, written.get(entry.snapshot_id, oldest))
    for counted in found.values():
        yield PartitionState(counted.key, **counted.counts)


def _key(table: Table, spec_id: int, values: tuple[Any, ...]) -> Partition | None:
    """The columns and values of a partition, if SQL can select it by them."""
    from pyiceberg.transforms import IdentityTransform, VoidTransform
    from pyiceberg.utils.datetime import days_to_date

    key: list[tuple[str, Value]] = []
    columns = {column.field_id: column for column in table.schema().fields}
    for partition_field, value in zip(table.specs()[spec_id].fields, values, strict=True):
        if isinstance(partition_field.transform, VoidTransform):
            continue
        column = columns.get(partition_field.source_id)
        if column is None or not isinstance(partition_field.transform, IdentityTransform):
            return None
        match str(column.field_type):
            case "int" | "long" | "string":
                key.append((column.name, value))
            case "date":
                key.append((column.name, None if value is None else days_to_date(value)))
            case _ if value is None:
                key.append((column.name, None))
            case _:
                return None
    return tuple(key)
