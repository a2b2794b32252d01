"""Small disks that can be filled: separate file systems under folders of the platform."""

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
    """Mount a tmpfs of a size on the folder, if the machine allows it; otherwise leave the folder as it is."""
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
    """No block is free under the folder."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb") as file:
            _fill(file.fileno())
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _fill(descriptor: int) -> None:
    """Allocate smaller and smaller pieces until the disk is full; free space is not constant, because others write meanwhile."""
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
