"""The manifests that a commit wrote, and the entries in them that are its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestEntry, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


def written_by(snapshot: Snapshot, manifests: list[ManifestFile]) -> list[ManifestFile]:
    """Those of the manifests that a commit wrote."""
    return [found for found in manifests if found.added_snapshot_id == snapshot.snapshot_id]


def own_entries(table: Table, manifest: ManifestFile) -> Iterator[ManifestEntry]:
    """The entries of a manifest that its commit added or removed.

    A commit that merges manifests writes its own entries first; the older ones after them are not read.
    """
    from pyiceberg.avro.file import AvroFile
    from pyiceberg.manifest import (
        DEFAULT_READ_VERSION,
        MANIFEST_ENTRY_SCHEMAS,
        DataFile,
        DataFileContent,
        FileFormat,
        ManifestEntry,
        ManifestEntryStatus,
    )

    counts = (manifest.added_files_count, manifest.deleted_files_count)
    left = math.inf if None in counts else sum(filter(None, counts))  # optional in format version 1
    with AvroFile[ManifestEntry](
        table.io.new_input(manifest.manifest_path),
        MANIFEST_ENTRY_SCHEMAS[DEFAULT_READ_VERSION],
        read_types={-1: ManifestEntry, 2: DataFile},
        read_enums={0: ManifestEntryStatus, 101: FileFormat, 134: DataFileContent},
    ) as entries:
        while left and (entry := next(entries, None)):
            if entry.status != ManifestEntryStatus.EXISTING:
                entry.data_file.spec_id = manifest.partition_spec_id
                left -= 1
                yield entry
