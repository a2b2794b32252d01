"""Packs the files of volumes into a tar stream, and unpacks it, in a container that mounts the volumes.

Most files are immutable. They are copied first, while the platform runs; then it is quiesced, and files that were added or
changed since are copied too. So the length of the pause depends on what is new, not on the total size. The index at the end of
the stream lists the files at that moment: files that were deleted before are not restored.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

VOLUMES = Path("/volumes")
INDEX = ".index.json"
IMMUTABLE_COPIED = "immutable files are copied"
#: Folders of a volume that are not copied: the object store's temporary files and locks; Gold's builds, which can be repeated.
LEFT_OUT = {"store": (".sgwtmp", ".vgwlocks"), "gold": ("runs",)}
XATTR = "SCHILY.xattr."  # as GNU tar writes them

Stamp = tuple[int, int, int]


def pack(volumes: list[str], out: BinaryIO | gzip.GzipFile, quiesced: BinaryIO) -> None:
    """Write the immutable files of the volumes; then, after a line was read from `quiesced`, all others.

    :raises FileNotFoundError: a file was deleted although the platform is quiesced
    """
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, dereference=True) as tar:
        copied: dict[str, Stamp] = {}
        for volume in volumes:
            for path in _immutable(volume):
                try:
                    copied[_name(path)] = _add(tar, path)
                except FileNotFoundError:
                    continue  # deleted before the recovery point
        print(IMMUTABLE_COPIED, file=sys.stderr, flush=True)
        if not quiesced.readline():
            raise SystemExit("The backup was aborted.")
        index = []
        for volume in volumes:
            for folder in _folders(volume):
                tar.addfile(_described(tar.gettarinfo(folder, _name(folder)), folder))
            for path in _files(volume):
                index.append(name := _name(path))
                if copied.get(name) != _stamp(path.stat()):
                    _add(tar, path)
        content = json.dumps(index).encode()
        member = tarfile.TarInfo(INDEX)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def unpack(volumes: list[str], stream: BinaryIO) -> int:
    """Write the files back, with owners, modes, times and attributes; return their number.

    :raises SystemExit: a volume is not empty, or the stream was not written by `pack` for these volumes
    """
    for volume in volumes:
        if held := next(_files(volume), None):
            raise SystemExit(f"The volume {volume} is not empty, it contains {held}. Nothing was written.")
    written: set[str] = set()
    index: set[str] | None = None
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for member in tar:
            if member.name == INDEX:
                index = set(json.load(_content(tar, member)))
                continue
            parts = Path(member.name).parts
            if parts[0] not in volumes or ".." in parts or not (member.isdir() or member.isfile()):
                raise SystemExit(f"{member.name} is not a file of {' or '.join(volumes)}.")
            _write(tar, member)
            if member.isfile():
                written.add(member.name)
    if index is None or (missing := index - written):
        what = "its index" if index is None else f"{len(missing):,} files, such as {min(missing)}"
        raise SystemExit(f"The archive lacks {what}.")
    for name in written - index:
        (VOLUMES / name).unlink()
    os.sync()
    return len(index)


def _immutable(volume: str) -> Iterator[Path]:
    """Files that are immutable once written: not the segments that Kafka appends to, nor their indexes."""
    if volume != "kafka":
        yield from _files(volume)
        return
    for folder in _folders(volume):
        yield from sorted(folder.glob("*.log"))[:-1]


def _files(volume: str) -> Iterator[Path]:
    for folder in _folders(volume):
        yield from (path for path in sorted(folder.iterdir()) if path.is_file() and not _is_left_out(volume, path))


def _folders(volume: str) -> Iterator[Path]:
    for folder, below, _ in os.walk(VOLUMES / volume):
        below[:] = sorted(name for name in below if name not in LEFT_OUT.get(volume, ()))
        yield Path(folder)


def _is_left_out(volume: str, path: Path) -> bool:
    return (volume == "kafka" and path.name == ".lock") or (volume == "gold" and path.name != "gold.duckdb")


def _name(path: Path) -> str:
    return str(path.relative_to(VOLUMES))


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_size, found.st_ctime_ns  # ctime also changes with attributes


def _add(tar: tarfile.TarFile, path: Path) -> Stamp:
    """Add a file; return its stamp as of when it was opened."""
    with path.open("rb") as opened:
        stamp = _stamp(os.fstat(opened.fileno()))
        tar.addfile(_described(tar.gettarinfo(arcname=_name(path), fileobj=opened), path), opened)
    return stamp


def _described(member: tarfile.TarInfo, path: Path) -> tarfile.TarInfo:
    """Add the file's extended attributes, in which the object store keeps metadata of objects."""
    attributes = {
        XATTR + name: os.getxattr(path, name).decode(errors="surrogateescape")
        for name in os.listxattr(path)
        if name.startswith("user.")
    }
    member.pax_headers = {**member.pax_headers, **attributes}
    return member


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    if (content := tar.extractfile(member)) is None:
        raise SystemExit(f"{member.name} is not a file.")
    return content


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = VOLUMES / member.name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as opened:
            shutil.copyfileobj(_content(tar, member), opened)
    for name, value in member.pax_headers.items():
        if name.startswith(XATTR):
            os.setxattr(path, name.removeprefix(XATTR), value.encode(errors="surrogateescape"))
    os.chown(path, member.uid, member.gid)
    path.chmod(member.mode)
    os.utime(path, (member.mtime, member.mtime))  # needed to find the newest state of a job


def main() -> None:
    """Run `pack VOLUME ...` or `unpack VOLUME ...`."""
    verb, *volumes = sys.argv[1:]
    if verb == "unpack":
        try:
            print(f"{', '.join(volumes)}: {unpack(volumes, sys.stdin.buffer):,} files")
        except (tarfile.TarError, EOFError) as error:
            raise SystemExit(f"The archive cannot be read to its end: {error}") from error
        return
    if volumes == ["kafka"]:  # its indexes are mostly preallocated; tables' files are already compressed
        with gzip.GzipFile(fileobj=sys.stdout.buffer, mode="wb", compresslevel=1) as out:
            pack(volumes, out, sys.stdin.buffer)
    else:
        pack(volumes, sys.stdout.buffer, sys.stdin.buffer)


if __name__ == "__main__":
    main()
