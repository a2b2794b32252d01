"""Commits to a table as the Flink sink makes them, but quicker: ten thousand in some minutes, or what a look needs in seconds.

Each adds a file to each partition, with a manifest and a manifest list of its own; manifests are merged by the hundred, as
Iceberg's MergeAppend does. Only the catalog is spared: the metadata file is written once, as the last commit would leave it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

MERGED_BY = 100  # Iceberg's commit.manifest.min-count-to-merge
UNMERGED = 5  # so many of the commits that are abridged were made since manifests were merged
EVERY_MS = 10_000
CODEC: Final = "deflate"
#: What the sink says in each summary, beside the counts.
WORDS = {
    "flink.job-id": "0" * 32,
    "flink.operator-id": "0" * 32,
    "engine-name": "flink",
    "engine-version": "2.1.1",
    "iceberg-version": "Apache Iceberg 1.10.0 (commit 2114bf631e49af532d66e2ce148ee49dd1dd1f1f)",
}


class SinkCommits:
    """Writes commits beside those of a table whose current snapshot holds one sample file of each partition."""

    def __init__(self, table: Table) -> None:
        self.table = table
        snapshot = table.current_snapshot()
        self._open: list[ManifestFile] = snapshot.manifests(table.io) if snapshot else []  # not merged yet
        self._samples = [entry for manifest in self._open for entry in manifest.fetch_manifest_entry(table.io)]
        self._live: list[ManifestEntry] = list(self._samples)
        self._rows = sum(entry.data_file.record_count for entry in self._samples)
        self._merged: ManifestFile | None = None
        self._snapshots = list(table.metadata.snapshots)

    def write(self, commits: int) -> str:
        """Make so many commits, the last one now; returns the location of the metadata that holds them."""
        for timestamp_ms in self._times(commits):
            self._commit([self._linked(sample.data_file) for sample in self._samples], timestamp_ms)
        return self._save()

    def abridge(self, commits: int) -> str:
        """The same in seconds, with nothing that a look at the newest commit does not read: the older ones have no manifest list,
        and of the data files there are the names alone.
        """
        times, apart = self._times(commits), commits - UNMERGED
        for number, timestamp_ms in enumerate(times, 1):
            snapshot = self._next(timestamp_ms)
            added = self._entries(snapshot, [self._renamed(sample.data_file) for sample in self._samples])
            if number == apart:
                self._merge(snapshot, added)
            elif number > apart:
                self._open.append(self._manifest(snapshot, added))
            self._take(snapshot, added)
        self._list(self._snapshots[-1])
        return self._save()

    def append(self, *commits: Sequence[DataFile], merge: bool = False) -> str:
        """Make a commit of each of these groups of files, now; returns the same as `write`.

        :param merge: the last one merges manifests, however many there are
        """
        for number, files in enumerate(commits, 1):
            self._commit(files, int(time.time() * 1000), merge and number == len(commits))
        return self._save()

    def _times(self, commits: int) -> range:
        """When each was made, the last one now, as milliseconds since the epoch; the table began right before them."""
        began_ms = int(time.time() * 1000) - commits * EVERY_MS
        self._snapshots = [snapshot.model_copy(update={"timestamp_ms": began_ms}) for snapshot in self._snapshots]
        return range(began_ms + EVERY_MS, began_ms + (commits + 1) * EVERY_MS, EVERY_MS)

    def _save(self) -> str:
        from pyiceberg.serializers import ToOutputFile
        from pyiceberg.table.refs import SnapshotRef
        from pyiceberg.table.snapshots import SnapshotLogEntry

        last = self._snapshots[-1]
        log = [SnapshotLogEntry(snapshot_id=s.snapshot_id, timestamp_ms=s.timestamp_ms) for s in self._snapshots]
        main = SnapshotRef(snapshot_id=last.snapshot_id, snapshot_ref_type="branch")  # type: ignore[call-arg]
        after = self.table.metadata.model_copy(
            update={
                "snapshots": self._snapshots,
                "snapshot_log": log,
                "current_snapshot_id": last.snapshot_id,
                "last_sequence_number": last.sequence_number,
                "last_updated_ms": last.timestamp_ms,
                "refs": {"main": main},
            }
        )
        location = f"{self.table.location()}/metadata/{len(log):05}-{uuid.uuid4()}.metadata.json"
        ToOutputFile.table_metadata(after, self.table.io.new_output(location))
        return location

    def _commit(self, files: Sequence[DataFile], timestamp_ms: int, merge: bool = False) -> None:
        snapshot = self._next(timestamp_ms)
        added = self._entries(snapshot, files)
        if merge or len(self._open) + 1 >= MERGED_BY:
            self._merge(snapshot, added)
        else:
            self._open.append(self._manifest(snapshot, added))
        self._take(snapshot, added)
        self._list(self._snapshots[-1])

    def _next(self, timestamp_ms: int) -> Snapshot:
        """The next snapshot, before it is said what it did."""
        from pyiceberg.table.snapshots import Snapshot

        parent = self._snapshots[-1]
        snapshot_id = parent.snapshot_id + 1
        return Snapshot(
            snapshot_id=snapshot_id,
            parent_snapshot_id=parent.snapshot_id,
            sequence_number=(parent.sequence_number or 0) + 1,
            timestamp_ms=timestamp_ms,
            manifest_list=f"{self.table.location()}/metadata/snap-{snapshot_id}-{uuid.uuid4()}.avro",
            schema_id=self.table.schema().schema_id,
        )

    def _entries(self, snapshot: Snapshot, files: Sequence[DataFile]) -> list[ManifestEntry]:
        from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus

        added = ManifestEntryStatus.ADDED
        return [
            ManifestEntry.from_args(status=added, snapshot_id=snapshot.snapshot_id, data_file=file) for file in files
        ]

    def _take(self, snapshot: Snapshot, added: list[ManifestEntry]) -> None:
        """Keep a snapshot that added these files, which are written, with what its summary says as the sink's does."""
        from pyiceberg.table.snapshots import Operation, Summary

        rows = sum(entry.data_file.record_count for entry in added)
        size = sum(entry.data_file.file_size_in_bytes for entry in added)
        self._live += added
        for entry in added:
            entry.sequence_number = entry.file_sequence_number = snapshot.sequence_number or 0
        self._rows += rows
        counts = {
            "added-data-files": len(added),
            "added-records": rows,
            "added-files-size": size,
            "changed-partition-count": len(added),
            "total-data-files": len(self._live),
            "total-delete-files": 0,
            "total-records": self._rows,
            "total-files-size": size * len(self._live) // len(added),
            "total-position-deletes": 0,
            "total-equality-deletes": 0,
            "flink.max-committed-checkpoint-id": snapshot.sequence_number,
        }
        summary = Summary(Operation.APPEND, **WORDS, **{name: str(count) for name, count in counts.items()})
        self._snapshots.append(snapshot.model_copy(update={"summary": summary}))

    def _merge(self, snapshot: Snapshot, added: list[ManifestEntry]) -> None:
        self._open, self._merged = [], self._manifest(snapshot, added, self._live)

    def _list(self, snapshot: Snapshot) -> None:
        """Write the manifest list of a snapshot."""
        from pyiceberg.manifest import write_manifest_list

        manifests = [*self._open, *([self._merged] if self._merged else [])]
        output = self.table.io.new_output(snapshot.manifest_list)
        sequence = snapshot.sequence_number
        with write_manifest_list(
            2, output, snapshot.snapshot_id, snapshot.parent_snapshot_id, sequence, CODEC
        ) as writer:
            writer.add_manifests(manifests)

    def _linked(self, sample: DataFile) -> DataFile:
        """The same file under another name: what the store has to list and delete, without what the disk would have to hold."""
        file = self._renamed(sample)
        os.link(sample.file_path.removeprefix("file://"), file.file_path.removeprefix("file://"))
        return file

    def _renamed(self, sample: DataFile) -> DataFile:
        file = copy(sample)
        file._data = list(sample._data)
        file._data[1] = f"{sample.file_path.rsplit('/', 1)[0]}/{uuid.uuid4()}.parquet"
        return file

    def _manifest(
        self, snapshot: Snapshot, added: list[ManifestEntry], older: Sequence[ManifestEntry] = ()
    ) -> ManifestFile:
        from pyiceberg.manifest import write_manifest

        spec, schema = self.table.spec(), self.table.schema()
        output = self.table.io.new_output(f"{self.table.location()}/metadata/{uuid.uuid4()}-m0.avro")
        with write_manifest(2, spec, schema, output, snapshot.snapshot_id, CODEC) as writer:
            for entry in added:
                writer.add_entry(entry)
            for entry in older:
                writer.existing(entry)
        manifest = writer.to_manifest_file()
        manifest.sequence_number = snapshot.sequence_number or 0
        manifest.min_sequence_number = max(manifest.min_sequence_number, 1)
        return manifest
