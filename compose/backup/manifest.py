"""Writes and checks the manifest of a backup: without a valid manifest, a folder is not a backup."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from local.config import PlatformError

FILE = "manifest.json"
FORMAT = 1
CHUNK = 1 << 20


def describe(folder: Path, about: dict[str, Any], sums: dict[str, str]) -> None:
    """Write the manifest of the files in a folder.

    :param sums: file name -> SHA-256, computed when it was written
    """
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sums[name]} for name in sorted(sums)}
    (folder / FILE).write_text(json.dumps({"format": FORMAT, **about, "files": files}, indent=2) + "\n")


def checked(folder: Path) -> dict[str, Any]:
    """The manifest of a backup, after a check that all files are complete and unchanged.

    :raises PlatformError: they are not; the message says which
    """
    file = folder / FILE
    try:
        manifest = json.loads(file.read_text())
        made_with, files = manifest["format"], manifest["files"]
    except FileNotFoundError:
        raise PlatformError(
            f"{folder} is not a complete backup: {FILE}, which is written last, is missing. Next: choose another (ls backups)."
        ) from None
    except (ValueError, LookupError, TypeError) as error:
        raise PlatformError(f"{file} is damaged ({error!r}). Next: choose another backup.") from error
    if made_with != FORMAT:
        raise PlatformError(
            f"{folder} has format {made_with}, but this version reads {FORMAT}. Next: restore it with the version that made it."
        )
    problems = [problem for name, expected in files.items() if (problem := _problem(folder / name, expected))]
    if problems:
        raise PlatformError(
            f"{folder} is damaged: {'; '.join(problems)}. Nothing was written. Next: choose another backup."
        )
    return manifest


def _problem(file: Path, expected: dict[str, Any]) -> str | None:
    if not file.is_file():
        return f"{file.name} is missing"
    if (size := file.stat().st_size) != expected["bytes"]:
        return f"{file.name} has {size:,} bytes instead of {expected['bytes']:,}"
    if (found := checksum(file)) != expected["sha256"]:
        return f"{file.name} has the checksum {found[:12]}... instead of {expected['sha256'][:12]}..."
    return None


def checksum(file: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
