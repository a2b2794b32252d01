"""Commits to a table as the Flink sink makes them, but quicker: ten thousand in some minutes.

Each adds a file to each partition, with a manifest and a manifest list of its own; manifests are merged by the hundred, as
Iceberg's MergeAppend does. Only the catalog is spared: the metadata file is written once, as the last commit would leave it.
"""

from __future__ import annotations

import os
import time
import uuid
from copy import copy
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

MERGED_BY = 100  # Iceberg's commit.manifest.min-count-to-merge
EVERY_MS = 10_000
CODEC: Final = "deflate"


class SinkCommits:
    """Writes commits beside those of a table whose current snapshot holds one sample file of each partition."""

    def __init__(self, table: Table) -> None:
        self._table = table
        snapshot = table.current_snapshot()
        self._open: list[ManifestFile] = snapshot.manifests(table.io) if snapshot else []  # not merged yet
        self._samples = [entry for manifest in self._open for entry in manifest.fetch_manifest_entry(table.io)]
        self._live: list[ManifestEntry] = list(self._samples)
        self._rows = sum(entry.data_file.record_count for entry in self._samples)
        self._merged: ManifestFile | None = None

    def write(self, commits: int) -> str:
        """Make so many commits, the last one now; returns the location of the metadata that holds them."""
        from pyiceberg.serializers import ToOutputFile
        from pyiceberg.table.refs import SnapshotRef
        from pyiceberg.table.snapshots import SnapshotLogEntry

        before = self._table.metadata
        began_ms = int(time.time() * 1000) - commits * EVERY_MS
        snapshots = [snapshot.model_copy(update={"timestamp_ms": began_ms}) for snapshot in before.snapshots]
        for number in range(1, commits + 1):
            snapshots.append(self._commit(snapshots[-1], began_ms + number * EVERY_MS))
        last = snapshots[-1]
        log = [SnapshotLogEntry(snapshot_id=s.snapshot_id, timestamp_ms=s.timestamp_ms) for s in snapshots]
        main = SnapshotRef(snapshot_id=last.snapshot_id, snapshot_ref_type="branch")  # type: ignore[call-arg]
        after = before.model_copy(
            update={
                "snapshots": snapshots,
                "snapshot_log": log,
                "current_snapshot_id": last.snapshot_id,
                "last_sequence_number": last.sequence_number,
                "last_updated_ms": last.timestamp_ms,
                "refs": {"main": main},
            }
        )
        location = f"{self._table.location()}/metadata/{commits:05}-{uuid.uuid4()}.metadata.json"
        ToOutputFile.table_metadata(after, self._table.io.new_output(location))
        return location

    def _commit(self, parent: Snapshot, timestamp_ms: int) -> Snapshot:
        from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus, write_manifest_list
        from pyiceberg.table.snapshots import Operation, Snapshot, Summary

        snapshot_id, sequence = parent.snapshot_id + 1, (parent.sequence_number or 0) + 1
        added = [
            ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id, data_file=self._linked(sample.data_file)
            )
            for sample in self._samples
        ]
        self._open.append(self._manifest(snapshot_id, added))
        for entry in added:
            entry.sequence_number = entry.file_sequence_number = sequence
        self._live += added
        if len(self._open) >= MERGED_BY:
            self._open, self._merged = [], self._manifest(snapshot_id, self._live, merged=True)
        manifests = [*self._open, *([self._merged] if self._merged else [])]
        location = f"{self._table.location()}/metadata/snap-{snapshot_id}-{uuid.uuid4()}.avro"
        with write_manifest_list(
            2, self._table.io.new_output(location), snapshot_id, parent.snapshot_id, sequence, CODEC
        ) as writer:
            writer.add_manifests(manifests)
        for manifest in manifests:
            if manifest.added_snapshot_id == snapshot_id:
                manifest.sequence_number = sequence
                manifest.min_sequence_number = max(manifest.min_sequence_number, 1)
        rows = len(self._live) // len(self._samples) * self._rows
        summary = Summary(
            Operation.APPEND,
            **{
                "added-data-files": str(len(added)),
                "added-records": str(self._rows),
                "total-data-files": str(len(self._live)),
                "total-records": str(rows),
                "flink.job-id": "0" * 32,
                "flink.operator-id": "0" * 32,
                "flink.max-committed-checkpoint-id": str(sequence),
            },
        )
        return Snapshot(
            snapshot_id=snapshot_id,
            parent_snapshot_id=parent.snapshot_id,
            sequence_number=sequence,
            timestamp_ms=timestamp_ms,
            manifest_list=location,
            summary=summary,
            schema_id=self._table.schema().schema_id,
        )

    def _linked(self, sample: DataFile) -> DataFile:
        """The same file under another name: what the store has to list and delete, without what the disk would have to hold."""
        file, path = copy(sample), sample.file_path.removeprefix("file://")
        file._data = list(sample._data)
        name = f"{path.rsplit('/', 1)[0]}/{uuid.uuid4()}.parquet"
        os.link(path, name)
        file._data[1] = f"file://{name}"
        return file

    def _manifest(self, snapshot_id: int, entries: list[ManifestEntry], merged: bool = False) -> ManifestFile:
        from pyiceberg.manifest import write_manifest

        spec, schema = self._table.spec(), self._table.schema()
        output = self._table.io.new_output(f"{self._table.location()}/metadata/{uuid.uuid4()}-m0.avro")
        with write_manifest(2, spec, schema, output, snapshot_id, CODEC) as writer:
            for entry in entries:
                (writer.existing if merged else writer.add_entry)(entry)
        return writer.to_manifest_file()
