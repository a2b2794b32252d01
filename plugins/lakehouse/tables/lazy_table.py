"""A read-only table whose metadata file is decoded lazily.

Each commit adds a snapshot to the file, so that it has ten thousand after a day of commits every 10 s, of which only the latest
few are usually needed. Finding where each one begins takes a fiftieth of the time that pyiceberg needs to create a model of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar, overload

import msgspec
from pydantic import BaseModel
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io import load_file_io
from pyiceberg.serializers import Compressor
from pyiceberg.table import StaticTable
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.table.snapshots import Snapshot, SnapshotLogEntry

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.typedef import Identifier, Properties

M = TypeVar("M", bound=BaseModel)
#: Fields that get one more entry with each commit -> model of an entry.
GROWING: dict[str, type[BaseModel]] = {"snapshots": Snapshot, "snapshot-log": SnapshotLogEntry}


class Entries(Sequence[M], Generic[M]):
    """The entries of a list in the file, each decoded when it is accessed."""

    def __init__(self, model: type[M], encoded: Sequence[msgspec.Raw]) -> None:
        self._model = model
        self._encoded = encoded
        self._decoded: dict[int, M] = {}

    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, at: int) -> M: ...
    @overload
    def __getitem__(self, at: slice) -> list[M]: ...
    def __getitem__(self, at: int | slice) -> M | list[M]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        number = range(len(self))[at]
        if number not in self._decoded:
            self._decoded[number] = self._model.model_validate_json(bytes(self._encoded[number]))
        return self._decoded[number]


class LazyTable(StaticTable):
    """A table as it was when it was loaded, read-only."""

    def __init__(self, identifier: Identifier, metadata: TableMetadata, location: str, io: FileIO) -> None:
        super().__init__(identifier, metadata, location, io, NoopCatalog("lazy"))
        self._known: dict[int, Snapshot] = {}
        self._older = reversed(metadata.snapshots)
        self._lock = Lock()  # callers may be multi-threaded

    def transaction(self) -> Transaction:
        """:raises NotImplementedError: always"""
        raise NotImplementedError(f"{'.'.join(self.name())} was loaded read-only. Next: load it with `table`")

    def snapshot_by_id(self, snapshot_id: int) -> Snapshot | None:
        """The snapshot with this id; None if there is none. It also decodes newer snapshots, but no older ones."""
        with self._lock:
            if snapshot_id not in self._known:
                for snapshot in self._older:
                    self._known[snapshot.snapshot_id] = snapshot
                    if snapshot.snapshot_id == snapshot_id:
                        break
            return self._known.get(snapshot_id)


def load_lazily(identifier: Identifier, location: str, properties: Properties) -> LazyTable:
    """Load a table from its metadata file.

    :param properties: of the catalog
    """
    metadata = _read(load_file_io(properties, location), location)
    return LazyTable(identifier, metadata, location, load_file_io({**properties, **metadata.properties}, location))


def _read(io: FileIO, location: str) -> TableMetadata:
    with io.new_input(location).open() as file, Compressor.get_compressor(location).stream_decompressor(file) as plain:
        fields = msgspec.json.decode(plain.read(), type=dict[str, msgspec.Raw])
    later = {name: fields.pop(name, None) for name in GROWING}
    metadata = TableMetadataUtil.parse_raw(msgspec.json.encode(fields).decode())
    entries: dict[str, Entries[BaseModel]] = {
        name.replace("-", "_"): Entries(GROWING[name], msgspec.json.decode(encoded, type=list[msgspec.Raw]))
        for name, encoded in later.items()
        if encoded
    }
    return metadata.model_copy(update=entries)
