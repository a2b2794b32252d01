"""The version of its source that a Gold run reads, kept for as long as the run has its folder.

The writer deletes a metadata file after some more commits, and expiry what only old snapshots lead to: a long build, or a
`publish` that is retried, would find nothing. So a run reads a copy of the metadata file, and a tag on the table keeps the
snapshot. Its paths are absolute: manifests and data are found from wherever the copy is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from lakehouse.tables.duckdb_iceberg import copy_metadata

if TYPE_CHECKING:
    from pyiceberg.table import Table

METADATA_NAME = "source.metadata.json"
COMMIT_TRIES = 20


def pin(source: Table, pipeline: str, run: Path) -> Path:
    """Keep the version of a table that was loaded, which has a snapshot; return the copy of its metadata.

    :param run: the run's folder
    :raises CommitFailedException: others committed first, each time
    """
    copy = run / METADATA_NAME
    copy_metadata(source, copy)
    snapshot = source.current_snapshot()
    _change_tags(source, pipeline, run.parent, {run.name: snapshot.snapshot_id} if snapshot else {})
    return copy


def release(source: Table, pipeline: str, runs: Path) -> None:
    """Drop the tags of runs that have no folder any more. Errors as of `pin`."""
    _change_tags(source, pipeline, runs, {})


def _change_tags(source: Table, pipeline: str, runs: Path, new: Mapping[str, int]) -> None:
    """In one commit, tag the snapshots of these runs and drop the tags that no run needs. Writers commit all the time."""
    from pyiceberg.exceptions import CommitFailedException

    prefix = f"gold-{pipeline}-"
    for attempt in Retrying(
        retry=retry_if_exception_type(CommitFailedException),
        stop=stop_after_attempt(COMMIT_TRIES),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    ):
        with attempt:
            tags = [name for name in source.refresh().metadata.refs if name.startswith(prefix)]
            unused = [name for name in tags if not (runs / name.removeprefix(prefix)).exists()]
            with source.manage_snapshots() as changes:
                for run, snapshot_id in new.items():
                    changes.create_tag(snapshot_id, prefix + run)
                for name in unused:
                    changes.remove_tag(name)
