"""Small disks that can be filled: a file system of its own under a folder of the platform."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK, LARGEST_PIECE = 2**12, 2**30


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs of that size on the folder, where the machine lets us mount; else the folder as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-o", f"size={size},mode=700"]
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True
    ).returncode
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def is_own_filesystem(folder: Path) -> bool:
    return folder.is_mount()


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Not a block is left under the folder."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb") as file:
            _fill(file.fileno())
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _fill(descriptor: int) -> None:
    """Allocate ever smaller pieces, until not one more goes in: others write meanwhile, so that free space is no fixed number."""
    size, piece = 0, LARGEST_PIECE
    while piece >= BLOCK:
        try:
            os.posix_fallocate(descriptor, size, piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            piece //= 2
        else:
            size += piece
