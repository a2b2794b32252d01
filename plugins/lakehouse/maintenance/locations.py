"""Normalized locations of files, however their address is written; listing, moving and deleting files.

Java writes `file:/x`, pyiceberg `file:///x`, and a table may contain both; `s3a` and `s3n` mean `s3`. A file whose two spellings
were not recognized as the same file would count as an orphan. An address is split at its first colon and slashes only: `#`, `?`
and `%` are ordinary characters in a file name.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table

_SAME = {"s3a": "s3", "s3n": "s3"}
_WITHOUT_AUTHORITY = ("file",)
#: With these, another address is another store. With others it may be the same: abfs and abfss, a NameNode and its nameservice.
_UNIQUE = frozenset({"file", "s3", "gs"})
_BUCKETS = ("s3", "gs")
_RENAMING = ("file", "hdfs", "viewfs")
_PLACES = ("write.data.path", "write.object-storage.path", "write.folder-storage.path", "write.metadata.path")


@dataclass(frozen=True, order=True, slots=True)
class Location:
    """A file or folder.

    :param authority: bucket or host; empty for the local disk
    :param path: without the leading slash
    """

    scheme: str
    authority: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Location:
        """Parse an address from a table's metadata; a bare path is on the local disk."""
        scheme, colon, rest = ("file", ":", text) if text.startswith("/") else text.partition(":")
        if not colon or not rest.startswith("/"):
            raise AirflowException(
                f"{text!r} is not the address of a file. Next: write it with its scheme, as in file:///x or s3://b/x"
            )
        scheme = _SAME.get(scheme.lower(), scheme.lower())
        if scheme in _WITHOUT_AUTHORITY:
            return cls(scheme, "", posixpath.normpath("/" + rest.lstrip("/")).lstrip("/"))
        if not rest.startswith("//"):  # hdfs:/x, without a host
            return cls(scheme, "", rest.strip("/"))
        authority, _, path = rest[2:].partition("/")
        return cls(scheme, authority, path.rstrip("/"))

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.authority}/{self.path}"

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    def __truediv__(self, below: str) -> Location:
        return Location(self.scheme, self.authority, posixpath.join(self.path, below))

    def named(self, name: str) -> Location:
        """Another file in the same folder."""
        return Location(self.scheme, self.authority, posixpath.join(posixpath.dirname(self.path), name))

    def holds(self, other: Location) -> bool:
        """Whether the other is this location, or below it."""
        return (self.scheme, self.authority) == (other.scheme, other.authority) and self._begins(other)

    def may_hold(self, other: Location) -> bool:
        """Whether it holds the other, or might, because their addresses could be two names of the same store."""
        return self.holds(other) or (_UNIQUE.isdisjoint({self.scheme, other.scheme}) and self._begins(other))

    def _begins(self, other: Location) -> bool:
        return f"{other.path}/".startswith(f"{self.path}/" if self.path else "")

    def moves_to(self, other: Location) -> bool:
        """Whether files can be moved there within their store: between buckets, but not between hosts."""
        return self.scheme == other.scheme and (self.scheme in _BUCKETS or self.authority == other.authority)

    def below(self, folder: Location) -> str:
        """The path relative to a folder that holds it."""
        return self.path[len(folder.path) :].lstrip("/") if folder.path else self.path

    def store(self, io: FileIO) -> tuple[FileSystem, str]:
        """The file system that the table itself uses, and the path in it.

        :raises AirflowException: the table does not use pyarrow
        """
        if not hasattr(io, "fs_by_scheme"):
            raise AirflowException(
                f"{type(io).__name__} gives no access to {self.uri} as a file system. Next: leave `py-io-impl` out of the "
                "connection iceberg_catalog."
            )
        path = f"{self.authority}/{self.path}" if self.authority and self.scheme != "hdfs" else f"/{self.path}"
        return io.fs_by_scheme(self.scheme, self.authority or None), path


@dataclass(frozen=True, slots=True)
class Listed:
    """An existing file.

    :param written_ms: modification time, epoch milliseconds by the store's clock
    """

    location: Location
    bytes: int
    written_ms: int


def roots(table: Table) -> list[Location]:
    """The outermost folders of a table's files: its location, and the data and metadata paths in its properties."""
    addresses = (table.location(), *(table.properties.get(name) for name in _PLACES))
    places = {Location.parse(address) for address in addresses if address}
    return sorted(place for place in places if not any(other.holds(place) for other in places - {place}))


def list_files(io: FileIO, folder: Location) -> Iterator[Listed]:
    """Every file below a folder; none if the folder does not exist.

    :raises OSError: it cannot be listed completely
    """
    from pyarrow.fs import FileSelector

    fs, path = folder.store(io)
    for info in fs.get_file_info(FileSelector(path, allow_not_found=True, recursive=True)):
        if info.is_file:
            yield Listed(folder / info.path[len(path) :].lstrip("/"), info.size, info.mtime_ns // 1_000_000)


def exists(io: FileIO, file: Location) -> bool:
    """Whether a file or folder exists."""
    from pyarrow.fs import FileType

    fs, path = file.store(io)
    return fs.get_file_info(path).type is not FileType.NotFound


def length(io: FileIO, file: Location) -> int | None:
    """Size of a file in bytes; None if it does not exist."""
    fs, path = file.store(io)
    return fs.get_file_info(path).size


def move(io: FileIO, source: Location, target: Location) -> None:
    """Move a file within a store without overwriting another; in an object store, copy it and then delete the source.

    :raises AirflowException: the target is in another store
    :raises FileExistsError: the target exists
    :raises FileNotFoundError: the source does not exist
    :raises OSError: it could not be moved; the source is unchanged, and nothing is left at the target
    """
    if not source.moves_to(target):
        raise AirflowException(
            f"{source.uri} cannot be moved to {target.uri}, which is in another store: nothing was moved."
        )
    if exists(io, target):
        raise FileExistsError(f"{target.uri} already exists")
    fs, path = source.store(io)
    _, to = target.store(io)
    if source.scheme in _RENAMING:  # other stores have no folders
        fs.create_dir(posixpath.dirname(to), recursive=True)
        fs.move(path, to)
    else:
        _copy(fs, path, to, source, target)
        fs.delete_file(path)


def _copy(fs: FileSystem, path: str, to: str, source: Location, target: Location) -> None:
    """Copy a file completely, or leave nothing at the target."""
    from pyarrow.fs import FileType

    found = fs.get_file_info(path)
    if found.type is FileType.NotFound:
        raise FileNotFoundError(source.uri)
    try:
        fs.copy_file(path, to)
        copied = fs.get_file_info(to).size
        if copied != found.size:
            raise OSError(
                f"{source.uri} has {found.size:,} bytes, but its copy {target.uri} has {copied or 0:,}: the copy was deleted, "
                "the file is unchanged. Next: make sure that the store works, and try again."
            )
    except BaseException:
        with suppress(FileNotFoundError):
            fs.delete_file(to)
        raise


def delete(io: FileIO, file: Location) -> bool:
    """Delete a file; return whether it existed."""
    fs, path = file.store(io)
    try:
        fs.delete_file(path)
    except FileNotFoundError:
        return False
    return True


def checked(file: Location) -> Location:
    """The file that a Hadoop checksum file belongs to; any other file is returned as it is."""
    is_checksum = file.name.startswith(".") and file.name.endswith(".crc")
    return file.named(file.name[1:-4]) if is_checksum else file
