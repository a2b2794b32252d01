"""What manifest lists and manifests name, read by DuckDB: pyiceberg makes an object of each entry, and there may be millions.

The bytes come through the file system that the table's own FileIO gives, so that every store is reached as the table reaches it.
"""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk.exceptions import AirflowException

from lakehouse.maintenance.locations import Location
from lakehouse.tables.duckdb_access import load_extensions

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from pyiceberg.io import FileIO

FILES_AT_ONCE = 500
MEMORY_LIMIT = "256MB"
DELETED = 2


class Manifests:
    """Reads manifest lists and manifests of one table.

    :param io: the table's
    """

    def __init__(self, io: FileIO) -> None:
        import duckdb

        self._io = io
        self._schemes: dict[tuple[str, str], str] = {}
        self._connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT})
        load_extensions(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def of(self, lists: Collection[Location]) -> dict[Location, int | None]:
        """The manifests that these manifest lists name, each with the number of its entries; None where a list does not say.

        :raises AirflowException: a file cannot be read
        """
        counts = " + ".join(f"{kind}_files_count" for kind in ("added", "existing", "deleted"))
        found: dict[Location, int | None] = {}
        for files in _batches(lists):
            try:
                rows = self._query(f"SELECT DISTINCT manifest_path, {counts} FROM read_avro(?)", files)
            except Exception:
                # In format version 1 the counts may be missing, or have other names.
                rows = self._rows("SELECT DISTINCT manifest_path, NULL FROM read_avro(?)", files)
            found |= {Location.parse(path): entries for path, entries in rows}
        return found

    def live_files(self, manifests: Mapping[Location, int | None]) -> Iterator[Location]:
        """The data and delete files that are live in these manifests.

        :param manifests: each with the number of its entries, where it is known
        :raises AirflowException: a file cannot be read, or has not as many entries as its list says
        """
        query = f"SELECT data_file.file_path, bool_or(status <> {DELETED}), count(*) FROM read_avro(?) GROUP BY 1"
        for files in _batches(manifests):
            rows = self._rows(query, files)
            read, named = sum(entries for *_, entries in rows), [manifests[file] for file in files]
            expected = sum(entries for entries in named if entries is not None)
            if None not in named and read != expected:
                raise AirflowException(
                    f"{len(files):,} manifests, the first of which is {files[0].uri}, have {read:,} entries, and the lists that "
                    f"name them say {expected:,}"
                )
            yield from (Location.parse(path) for path, is_live, _ in rows if is_live)

    def _rows(self, query: str, files: Sequence[Location]) -> list[tuple[Any, ...]]:
        try:
            return self._query(query, files)
        except Exception as error:  # whatever a damaged file makes of its reader
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            if len(files) == 1:
                raise AirflowException(f"{files[0].uri}: {reason}") from error
            for file in files:  # which of them it is
                self._rows(query, [file])
            raise AirflowException(f"{files[0].uri} and others: {reason}") from error

    def _query(self, query: str, files: Iterable[Location]) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, [[self._address(file) for file in files]]).fetchall()

    def _address(self, file: Location) -> str:
        """What DuckDB calls a file; the file system behind it is made known first."""
        file_system, path = file.store(self._io)
        store = (file.scheme, file.authority)
        if store not in self._schemes:
            self._schemes[store] = f"store{len(self._schemes)}"
            self._connection.register_filesystem(_wrapped(file_system, self._schemes[store]))
        return f"{self._schemes[store]}://{glob.escape(path)}"


def _batches(files: Iterable[Location]) -> Iterator[list[Location]]:
    remaining = iter(files)
    while batch := list(islice(remaining, FILES_AT_ONCE)):
        yield batch


def _wrapped(file_system: Any, scheme: str) -> AbstractFileSystem:
    """A file system of pyarrow as DuckDB takes one, under a scheme that it does not know."""
    from fsspec.implementations.arrow import ArrowFSWrapper

    class Store(ArrowFSWrapper):  # type: ignore[misc]
        protocol = scheme
        cachable = False
        root_marker = ""

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path.removeprefix(f"{scheme}://")

    return Store(file_system)
