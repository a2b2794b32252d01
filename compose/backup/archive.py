"""Files of the volumes as one stream of tar, in a container that sees them: `pack` writes it, `unpack` reads it.

Most files never change once they are there. They are copied first, while the platform runs; only then is it quiesced, and
what was added or changed since is copied too. So the pause depends on what is new, not on how much there is. The index at the
end of the stream names the files of that moment: what was gone by then is not restored.
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
STEADY_COPIED = "steady files are copied"
#: Folders of a volume that are not copied: the object store's drafts and locks; Gold's builds, which a run makes again.
LEFT_OUT = {"store": (".sgwtmp", ".vgwlocks"), "gold": ("runs",)}
XATTR = "SCHILY.xattr."  # as GNU tar writes them

Stamp = tuple[int, int, int]


def pack(volumes: list[str], out: BinaryIO | gzip.GzipFile, quiesced: BinaryIO) -> None:
    """Write the files of the volumes: the steady ones, then, when a line comes in, whatever else there is.

    :raises FileNotFoundError: a file went away though the platform is quiesced
    """
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, dereference=True) as tar:
        copied: dict[str, Stamp] = {}
        for volume in volumes:
            for path in _steady(volume):
                try:
                    copied[_name(path)] = _add(tar, path)
                except FileNotFoundError:
                    continue  # deleted before the moment that counts
        print(STEADY_COPIED, file=sys.stderr, flush=True)
        if not quiesced.readline():
            raise SystemExit("Nobody waits for the rest any more.")
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
    """Write the files back, with owners, modes, times and attributes; return how many.

    :raises SystemExit: a volume is not empty, or the stream is not what `pack` wrote for these volumes
    """
    for volume in volumes:
        if held := next(_files(volume), None):
            raise SystemExit(f"The volume {volume} is not empty, it holds {held}. Nothing was written.")
    written: set[str] = set()
    index: set[str] | None = None
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for member in tar:
            if member.name == INDEX:
                index = set(json.load(_content(tar, member)))
                continue
            parts = Path(member.name).parts
            if parts[0] not in volumes or ".." in parts or not (member.isdir() or member.isfile()):
                raise SystemExit(f"{member.name} is no file of {' or '.join(volumes)}.")
            _write(tar, member)
            if member.isfile():
                written.add(member.name)
    if index is None or (missing := index - written):
        what = "its index" if index is None else f"{len(missing):,} files, {min(missing)} among them"
        raise SystemExit(f"The archive lacks {what}.")
    for name in written - index:
        (VOLUMES / name).unlink()
    os.sync()
    return len(index)


def _steady(volume: str) -> Iterator[Path]:
    """Files that are only ever written as a whole: not the segments that Kafka appends to, nor their indexes."""
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
    return found.st_ino, found.st_size, found.st_ctime_ns  # which new attributes change too


def _add(tar: tarfile.TarFile, path: Path) -> Stamp:
    """Add a file as it was when it was opened."""
    with path.open("rb") as opened:
        stamp = _stamp(os.fstat(opened.fileno()))
        tar.addfile(_described(tar.gettarinfo(arcname=_name(path), fileobj=opened), path), opened)
    return stamp


def _described(member: tarfile.TarInfo, path: Path) -> tarfile.TarInfo:
    """With its attributes: the object store keeps there what it knows of an object."""
    attributes = {
        XATTR + name: os.getxattr(path, name).decode(errors="surrogateescape")
        for name in os.listxattr(path)
        if name.startswith("user.")
    }
    member.pax_headers = {**member.pax_headers, **attributes}
    return member


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    if (content := tar.extractfile(member)) is None:
        raise SystemExit(f"{member.name} is no file.")
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
    os.utime(path, (member.mtime, member.mtime))  # by which the newest of a job's states is found


def main() -> None:
    """`pack VOLUME ...` or `unpack VOLUME ...`."""
    verb, *volumes = sys.argv[1:]
    if verb == "unpack":
        try:
            print(f"{', '.join(volumes)}: {unpack(volumes, sys.stdin.buffer):,} files")
        except (tarfile.TarError, EOFError) as error:
            raise SystemExit(f"The archive cannot be read to its end: {error}") from error
        return
    if volumes == ["kafka"]:  # its indexes are mostly room for more; files of tables are compressed already
        with gzip.GzipFile(fileobj=sys.stdout.buffer, mode="wb", compresslevel=1) as out:
            pack(volumes, out, sys.stdin.buffer)
    else:
        pack(volumes, sys.stdout.buffer, sys.stdin.buffer)


if __name__ == "__main__":
    main()
