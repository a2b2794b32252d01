"""Old checkpoints and savepoints, from which no job would be restored any more: they hold back the expiry of snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lakehouse.storage import stored
from lakehouse.streaming.job import JobState
from lakehouse.streaming.record import JobRecord
from lakehouse.streaming.state import SavedState, saved_states, writer_of

#: Number of newest states that are kept regardless of their age: a suspended job has nothing else.
KEPT = 3


@dataclass(frozen=True)
class OldState:
    """The folder of a savepoint, or of all checkpoints of one run, which share files.

    :param bytes: total size of its files
    """

    path: str
    files: int
    bytes: int

    def remove(self) -> None:
        """Delete the folder if it exists."""
        folder = stored(self.path)
        if folder.exists():
            folder.rmdir(recursive=True)


def old_states(job: JobState, record: JobRecord, live: str | None, before: float) -> Iterator[OldState]:
    """States that were written before a time (epoch seconds), and are neither among the newest nor referenced by the record.

    The folder of the live run is kept as a whole. Others can be deleted: after its own first checkpoint, a run does not need the
    files of the checkpoint that it was restored from (Flink's recovery mode NO_CLAIM).

    :param live: Flink's id of the live run, if any
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
    """The folder to delete: of a savepoint, or of all checkpoints of a run."""
    state = stored(path)
    return str(state if state.name.startswith("savepoint-") else state.parent)
