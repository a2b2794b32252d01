"""Double buffering of Gold: readers have one file, and a run builds on the other, the spare file.

The spare file lacks what the last run added. The next run takes it, catches up and publishes it; the file that was published
before becomes the spare one. So a run copies nothing, however large Gold is. It copies the published file if there is no spare
one (a run has failed on it) or a program still reads it; and it starts from scratch if neither file can be built upon.

The version and the models that a file was built from are recorded next to it, with its size and modification time: a file that
another program has changed has no valid record, and is never built upon.
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


class Build(BaseModel):
    """What a file was built from.

    :param modified_ns: when it was last modified, nanoseconds since the epoch
    :param models: fingerprint of the dbt models
    """

    model_config = ConfigDict(frozen=True)

    size: int
    modified_ns: int
    source: SourceVersion
    models: str

    def describes(self, file: Path) -> bool:
        """Whether a file is unchanged since this was recorded."""
        try:
            found = file.stat()
        except FileNotFoundError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.modified_ns)


_Record = TypeAdapter(tuple[Build, ...])


def build_of(file: Path) -> Build | None:
    """What a file was built from; None if it does not exist, or another program has changed it."""
    return next((build for build in _recorded(file.parent) if build.describes(file)), None)


def take(published: Path, work: Path, can_build_on: Callable[[Build], bool], copy: bool = False) -> None:
    """Move or copy the file that a run builds on to `work`; no file, if neither can be built upon.

    :param can_build_on: whether a run can continue from a file that was built this way
    :param copy: leave the spare file to other runs
    """
    spare = published.with_name(SPARE_NAME)
    with exclusive(published.parent):
        if spare.exists() and published.exists() and spare.samefile(published):  # `publish` was interrupted
            spare.unlink()
        if not copy and (build := build_of(spare)) and can_build_on(build) and _is_free(spare):
            spare.replace(work)
        elif (build := build_of(published)) and can_build_on(build):
            shutil.copyfile(published, work)


def publish(work: Path, published: Path, source: SourceVersion, models: str) -> None:
    """Publish a run's file; programs that have the previous one open keep it. Call it under `exclusive`.

    The file is read-only, so that a tool that opens it for writing fails: DuckDB would replay the tool's write-ahead log on the
    next published file. An existing log is deleted for the same reason. A folder `gold.duckdb.tmp` stays: a reader's query has
    spilled to it.
    """
    work.chmod(READ_ONLY)
    stat = work.stat()
    build = Build(size=stat.st_size, modified_ns=stat.st_mtime_ns, source=source, models=models)
    builds = [build, *filter(None, [build_of(published)])]
    record = published.with_name(RECORD_NAME)
    draft = work.with_name(RECORD_NAME)
    draft.write_bytes(_Record.dump_json(tuple(builds)))
    draft.replace(record)
    spare = published.with_name(SPARE_NAME)
    spare.unlink(missing_ok=True)
    if published.exists():
        with suppress(OSError):  # without hard links on the file system, the next run copies
            os.link(published, spare)
    published.with_name(f"{published.name}.wal").unlink(missing_ok=True)
    work.replace(published)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a lock, so that two runs do not move files at the same time."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _recorded(folder: Path) -> tuple[Build, ...]:
    try:
        return _Record.validate_json((folder / RECORD_NAME).read_bytes())
    except (FileNotFoundError, ValueError):  # without a record, Gold is built from scratch
        return ()


def _is_free(spare: Path) -> bool:
    """Whether no program has the file open: DuckDB locks open files."""
    import duckdb

    spare.chmod(WRITABLE)
    try:
        duckdb.connect(str(spare)).close()
    except duckdb.IOException:
        return False
    return True
