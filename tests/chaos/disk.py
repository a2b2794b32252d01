"""Small disks that can be filled: a file system of its own under a folder of the platform."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    """Not a byte is left under the folder."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free)
    try:
        yield
    finally:
        ballast.unlink()
