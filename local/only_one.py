"""Mutual exclusion of processes that work on a platform's folder."""

import contextlib
import fcntl
from collections.abc import Iterator

from local.config import LOCKS, PlatformError
from local.preflight import state_folder


@contextlib.contextmanager
def only_one(lock_name: str) -> Iterator[None]:
    """Hold one of `LOCKS` until the block or this process ends. An empty folder is removed if no platform was created.

    :raises PlatformError: another process holds it, or the folder cannot be written to
    """
    home = state_folder()
    made = [folder for folder in (home, *home.parents) if not folder.exists()]
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / lock_name).open("a")
    except OSError as error:
        raise PlatformError(
            f"{home} cannot be written to ({error.strerror}). Set LAKEHOUSE_HOME to a folder of yours"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlatformError(f"another {LOCKS[lock_name]} of {home} is running: wait for it, or end it") from None
        try:
            yield
        finally:
            if not (home / "env").exists():
                (home / lock_name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it is not empty
                    for folder in made:
                        folder.rmdir()
