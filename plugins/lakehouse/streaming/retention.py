"""Checkpoints and savepoints that no restart goes back to any more: they take room, and hold the expiry of snapshots back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lakehouse.storage import stored
from lakehouse.streaming.job import JobState
from lakehouse.streaming.record import JobRecord
from lakehouse.streaming.state import SavedState, saved_states, writer_of

#: So many newest states stay, however old: of a job that stands still they are all there is.
KEPT = 3


@dataclass(frozen=True)
class OldState:
    """The folder of a savepoint, or of all checkpoints of one run, which share files.

    :param bytes: of all files in it
    """

    path: str
    files: int
    bytes: int

    def remove(self) -> None:
        """Delete it; one that is gone already is fine."""
        folder = stored(self.path)
        if folder.exists():
            folder.rmdir(recursive=True)


def old_states(job: JobState, record: JobRecord, live: str | None, before: float) -> Iterator[OldState]:
    """What was written before a time (epoch seconds), and is neither among the newest nor remembered as a way back.

    A run that goes on from a checkpoint needs no file of it after its own first one (Flink's recovery mode NO_CLAIM), which
    is why a live run's folder stays whole and others need not.

    :param live: Flink's id of the run that has not ended, if any
    """
    states = saved_states(job)
    needed: set[str | None] = {state.path for state in states[:KEPT]}
    needed |= {start.restored_from for start in record.starts[-1:]}
    needed |= {record.rolled_back.savepoint} if record.rolled_back else set()
    folders: dict[str, list[SavedState]] = {}
    for state in states:
        folders.setdefault(_folder(state.path), []).append(state)
    for folder, held in folders.items():
        if writer_of(held[0].path) != live and all(s.written_at < before and s.path not in needed for s in held):
            sizes = [file.stat().st_size for file in stored(folder).rglob("*") if file.is_file()]
            yield OldState(folder, len(sizes), sum(sizes))


def _folder(path: str) -> str:
    """What goes at once: a savepoint alone, a checkpoint with all others of its run."""
    state = stored(path)
    return str(state if state.name.startswith("savepoint-") else state.parent)
