"""What a backup says of itself, and whether that is so: without a manifest that holds, a folder is no backup."""

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

    :param sums: SHA-256 of each, as it was written
    """
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sums[name]} for name in sorted(sums)}
    (folder / FILE).write_text(json.dumps({"format": FORMAT, **about, "files": files}, indent=2) + "\n")


def checked(folder: Path) -> dict[str, Any]:
    """The manifest of a backup that is whole and as it was written.

    :raises PlatformError: it is not; the message says what is wrong
    """
    file = folder / FILE
    try:
        manifest = json.loads(file.read_text())
        made_with, files = manifest["format"], manifest["files"]
    except FileNotFoundError:
        raise PlatformError(
            f"{folder} is no whole backup: it has no {FILE}, which is written last. Next: name another folder (ls backups)."
        ) from None
    except (ValueError, LookupError, TypeError) as error:
        raise PlatformError(f"{file} cannot be understood ({error!r}). Next: name another backup.") from error
    if made_with != FORMAT:
        raise PlatformError(
            f"{folder} has format {made_with}, this version reads {FORMAT}. Next: restore it with the version that made it."
        )
    wrong = [problem for name, told in files.items() if (problem := _problem(folder / name, told))]
    if wrong:
        raise PlatformError(f"{folder} is damaged: {'; '.join(wrong)}. Nothing was written. Next: name another backup.")
    return manifest


def _problem(file: Path, told: dict[str, Any]) -> str | None:
    if not file.is_file():
        return f"{file.name} is missing"
    if (size := file.stat().st_size) != told["bytes"]:
        return f"{file.name} has {size:,} bytes instead of {told['bytes']:,}"
    if (found := checksum(file)) != told["sha256"]:
        return f"{file.name} has the checksum {found[:12]}... instead of {told['sha256'][:12]}..."
    return None


def checksum(file: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
