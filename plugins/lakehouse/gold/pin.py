"""Pins the version of its source that a Gold run reads, for as long as the run's folder exists.

The writer deletes old metadata files, and snapshot expiry deletes data that only old snapshots reference: a long build or a
retried `publish` would no longer find its version. So a run reads a copy of the metadata file, and a tag on the table protects
the snapshot. The paths in the metadata are absolute, so they are valid wherever the copy is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.tables.commits import commit_tries
from lakehouse.tables.duckdb_iceberg import copy_metadata
from lakehouse.tables.history import newer_snapshots, removes_rows

if TYPE_CHECKING:
    from pyiceberg.table import Table

METADATA_NAME = "source.metadata.json"


@dataclass(frozen=True)
class SourceVersion:
    """A version of a table, as a Gold file records the one that it was built from.

    :param sequence_number: increases with each commit to the table; 0 if a Gold file of an older version does not have it
    """

    table_uuid: str
    snapshot_id: int
    sequence_number: int = 0

    @classmethod
    def of(cls, source: Table) -> SourceVersion:
        """The loaded version of a table.

        :raises ValueError: the table has no snapshot yet
        """
        snapshot = source.current_snapshot()
        if snapshot is None:
            raise ValueError(f"{'.'.join(source.name())} has no snapshot yet")
        return cls(str(source.metadata.table_uuid), snapshot.snapshot_id, snapshot.sequence_number or 0)

    def only_appended_until(self, source: Table) -> bool:
        """Whether rows were only added to the table since this version, as far as its history goes back.

        :param source: the table as it is now
        """
        if str(source.metadata.table_uuid) != self.table_uuid:
            return False
        newer, complete = newer_snapshots(source, self.snapshot_id)
        if any(map(removes_rows, newer)):
            return False
        # A known snapshot that is not an ancestor was rolled back; an unknown one may have expired.
        return complete or source.snapshot_by_id(self.snapshot_id) is None

    def precedes(self, other: SourceVersion, source: Table) -> bool:
        """Whether the other is a later version of the same table that was not rolled back.

        :param source: the table as it is now
        """
        _, is_ancestor = newer_snapshots(source, other.snapshot_id)
        rolled_back = not is_ancestor and source.snapshot_by_id(other.snapshot_id) is not None
        is_later = self.table_uuid == other.table_uuid and self.sequence_number < other.sequence_number
        return is_later and not rolled_back


def pin(source: Table, pipeline: str, run: Path) -> Path:
    """Pin the loaded version of a table; return the copy of its metadata.

    :param source: must have a snapshot
    :param run: the run's folder
    :raises CommitFailedException: every try conflicted with another commit
    """
    copy = run / METADATA_NAME
    copy_metadata(source, copy)
    _change_tags(source, pipeline, run.parent, {run.name: SourceVersion.of(source).snapshot_id})
    return copy


def release(source: Table, pipeline: str, runs: Path) -> None:
    """Remove the tags of runs whose folder no longer exists. Errors as in `pin`."""
    _change_tags(source, pipeline, runs, {})


def _change_tags(source: Table, pipeline: str, runs: Path, new: Mapping[str, int]) -> None:
    """In one commit, tag the snapshots of these runs and remove unused tags; retried, because writers commit all the time."""
    prefix = f"gold-{pipeline}-"
    for attempt in commit_tries():
        with attempt:
            tags = [name for name in source.refresh().metadata.refs if name.startswith(prefix)]
            unused = [name for name in tags if not (runs / name.removeprefix(prefix)).exists()]
            with source.manage_snapshots() as changes:
                for run, snapshot_id in new.items():
                    changes.create_tag(snapshot_id, prefix + run)
                for name in unused:
                    changes.remove_tag(name)
