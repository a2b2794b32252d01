"""Checkpoints and savepoints of a job, and whether they are consistent with its tables."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.iceberg import summary_of
from lakehouse.storage import stored
from lakehouse.streaming.job import JobState
from lakehouse.streaming.record import Commit, Start
from lakehouse.tables.history import newest_first

if TYPE_CHECKING:
    from pyiceberg.table import Table

# Flink writes `_metadata` last: magic number, version, checkpoint id (`Checkpoints.storeCheckpointMetadata`).
METADATA = "_metadata"
HEADER = struct.Struct(">IIQ")
MAGIC = 0x4960672D


@dataclass(frozen=True)
class SavedState:
    """A complete checkpoint or savepoint.

    :param checkpoint_id: increases along a chain of restarts, for checkpoints and savepoints alike
    :param job_id: Flink's id of the run that wrote it; for a savepoint, only the first six digits
    :param written_at: epoch seconds
    """

    path: str
    checkpoint_id: int
    job_id: str
    written_at: float


def read_state(path: str) -> SavedState | None:
    """The checkpoint or savepoint at a path; None if it is incomplete or does not exist."""
    folder = stored(path)
    file = folder / METADATA
    try:
        with file.open("rb") as opened:
            magic, _, checkpoint_id = HEADER.unpack(opened.read(HEADER.size))
        written_at = file.stat().st_mtime
    except (OSError, struct.error):
        return None
    if magic != MAGIC:
        return None
    return SavedState(str(folder), checkpoint_id, writer_of(path), written_at)


def saved_states(job: JobState) -> list[SavedState]:
    """All complete checkpoints and savepoints of the job, from any cluster, newest first."""
    files = [
        file
        for name in job.names
        for folder, pattern in (("checkpoints", f"*/chk-*/{METADATA}"), ("savepoints", f"*/{METADATA}"))
        for file in stored(f"{job.state_dir}/{folder}/{name}").glob(pattern)
    ]
    found = [read_state(str(file.parent)) for file in files]
    return sorted((state for state in found if state), key=lambda s: (s.written_at, s.checkpoint_id), reverse=True)


def last_commit(name: str, table: Table) -> Commit | None:
    """The latest commit of a Flink job to a table; later commits of maintenance are ignored."""
    for snapshot in newest_first(table):
        summary = summary_of(snapshot)
        if "flink.job-id" in summary:
            checkpoint_id = int(summary["flink.max-committed-checkpoint-id"])
            return Commit(table=name, job_id=summary["flink.job-id"], checkpoint_id=checkpoint_id)
    return None


def objection(state: SavedState, commits: list[Commit], starts: tuple[Start, ...]) -> str | None:
    """Why a start from this state would duplicate rows; None if it would not.

    After a restore, the sink commits what was pending in the state, unless the table already has it. But what was committed
    after the state was taken would be read and written again.
    """
    line, after = _line(state, starts)
    for commit in commits:
        if commit in after:
            continue
        if not any(commit.job_id.startswith(job_id) for job_id in line):
            return f"{commit.table} was last written by Flink job {commit.job_id}, and {state.path} does not descend from that"
        if commit.checkpoint_id > state.checkpoint_id:
            return (
                f"{commit.table} contains everything up to checkpoint {commit.checkpoint_id}, but {state.path} is checkpoint "
                f"{state.checkpoint_id}"
            )
    return None


def _line(state: SavedState, starts: tuple[Start, ...]) -> tuple[set[str], tuple[Commit, ...]]:
    """Job ids that the state descends from, including its own, and the commits after which the first of them started."""
    line, job_id = {state.job_id}, state.job_id
    while start := next((s for s in reversed(starts) if s.job_id.startswith(job_id)), None):
        if start.restored_from is None or (job_id := writer_of(start.restored_from)) in line:
            return line, start.after
        line.add(job_id)
    return line, ()


def writer_of(path: str) -> str:
    """Job id in the path of a checkpoint or savepoint (for a savepoint, the first six digits)."""
    folder = stored(path)
    return folder.name.split("-")[1] if folder.name.startswith("savepoint-") else folder.parent.name
