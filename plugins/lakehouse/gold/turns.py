"""The two files of Gold that take turns: readers have one, and a run builds on the other, the spare one.

The spare file lacks what the last run added. The next run takes it, catches up, and gives it to readers; what these had is
the spare one then. So a run copies nothing, however large Gold is. It copies the readers' file when there is no spare one (a
run failed on it) or a program still reads it; and it starts with nothing when neither file can be built upon.

Which version and which models a file was built from is remembered beside it, by its size and time of change: a file that
another program wrote to is known no more, and never built upon.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from lakehouse.gold.pin import SourceVersion

SPARE_NAME = "spare.duckdb"
RECORD_NAME = "files.json"
READ_ONLY, WRITABLE = 0o444, 0o644


class Built(BaseModel):
    """What a file was built from.

    :param modified_ns: when it was last written to, nanoseconds since the epoch
    :param models: fingerprint of the dbt models
    """

    model_config = ConfigDict(frozen=True)

    size: int
    modified_ns: int
    source: SourceVersion
    models: str

    def is_of(self, file: Path) -> bool:
        """Whether this is said of a file as it is now."""
        try:
            found = file.stat()
        except FileNotFoundError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.modified_ns)


_Record = TypeAdapter(tuple[Built, ...])


def built(file: Path) -> Built | None:
    """What a file was built from; None when it is not there, or somebody has changed it."""
    return next((entry for entry in _remembered(file.parent) if entry.is_of(file)), None)


def take(published: Path, work: Path, fits: Callable[[Built], bool], copy: bool = False) -> None:
    """Give a run the file that it builds on; none, when neither can be built upon.

    :param work: path that the run works at
    :param fits: whether a run may go on from what a file was built from
    :param copy: leave the spare file to others
    """
    spare = published.with_name(SPARE_NAME)
    with alone(published.parent):
        if spare.exists() and published.exists() and spare.samefile(published):  # died between the steps of `offer`
            spare.unlink()
        if not copy and (found := built(spare)) and fits(found) and _is_free(spare):
            spare.replace(work)
        elif (found := built(published)) and fits(found):
            shutil.copyfile(published, work)


def offer(work: Path, published: Path, source: SourceVersion, models: str) -> None:
    """Give a run's file to readers; those who have the one before open keep it. To be called by one run at a time.

    Without the right to write, a tool that opens it otherwise than read-only is refused: DuckDB would replay what the tool
    logs on the next published file. A log that is there goes for the same reason. A folder `gold.duckdb.tmp` stays: in it
    is what the query of a reader spilled.
    """
    work.chmod(READ_ONLY)
    stat = work.stat()
    entry = Built(size=stat.st_size, modified_ns=stat.st_mtime_ns, source=source, models=models)
    kept = [entry, *filter(None, [built(published)])]
    record = published.with_name(RECORD_NAME)
    draft = work.with_name(RECORD_NAME)
    draft.write_bytes(_Record.dump_json(tuple(kept)))
    draft.replace(record)
    spare = published.with_name(SPARE_NAME)
    spare.unlink(missing_ok=True)
    if published.exists():
        with suppress(OSError):  # where the file system knows no links, the next run copies
            os.link(published, spare)
    published.with_name(f"{published.name}.wal").unlink(missing_ok=True)
    work.replace(published)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no two runs move files at once: each would judge by those before both."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remembered(folder: Path) -> tuple[Built, ...]:
    try:
        return _Record.validate_json((folder / RECORD_NAME).read_bytes())
    except (FileNotFoundError, ValueError):  # nothing is known then, and Gold is built from scratch
        return ()


def _is_free(spare: Path) -> bool:
    """Whether no program has the file open: DuckDB keeps a lock for as long."""
    import duckdb

    spare.chmod(WRITABLE)
    try:
        duckdb.connect(str(spare)).close()
    except duckdb.IOException:
        return False
    return True
