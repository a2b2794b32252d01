"""Quarantine: files that were taken from tables, under their original paths, until a second and longer age is over.

`<warehouse>/_quarantine/<yyyyMMddTHHmmssZ>/<scheme>/<authority or ->/<original path>`: what is in it can be told, and brought
back, from the paths alone, whoever put it there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance.locations import Listed, Location, delete, length, list_files, move, roots
from lakehouse.maintenance.reachable import Reachable

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table

FOLDER = "_quarantine"
STAMP = "%Y%m%dT%H%M%SZ"
NO_AUTHORITY = "-"


@dataclass(frozen=True)
class Kept:
    """A file in quarantine.

    :param batch: when its batch was taken, as the folder's name has it
    :param original: where it was
    """

    file: Listed
    batch: str
    original: Location

    @property
    def taken_at(self) -> datetime:
        return datetime.strptime(self.batch, STAMP).replace(tzinfo=UTC)


@dataclass(frozen=True)
class QuarantineResult:
    """What became of files: how many, their bytes, and those that were left alone with the reason."""

    files: int
    bytes: int
    left: tuple[str, ...] = ()


class Quarantine:
    """The quarantine of the catalog's warehouse."""

    def __init__(self) -> None:
        """:raises AirflowException: the catalog knows its warehouse by a name, not by an address"""
        from pyiceberg.io import load_file_io

        catalog = IcebergCatalogHook().catalog
        warehouse = catalog.properties.get("warehouse")
        try:
            self.folder = Location.parse(warehouse or "") / FOLDER
        except AirflowException as error:
            raise AirflowException(
                f"The warehouse of the catalog behind the connection iceberg_catalog: {warehouse!r} is no folder, so there is no "
                "quarantine. Nothing was moved. Next: write `warehouse` as an address (s3://bucket/folder) in the connection's "
                "extra, or leave orphan files to the catalog's own service."
            ) from error
        self.io: FileIO = load_file_io(catalog.properties, warehouse)

    def new_batch(self) -> Location:
        """The folder of a batch that begins now."""
        return self.folder / datetime.now(UTC).strftime(STAMP)

    def put(self, batch: Location, file: Location) -> None:
        """Take one file."""
        move(self.io, file, batch / f"{file.scheme}/{file.authority or NO_AUTHORITY}/{file.path}")

    def kept(self, below: Collection[Location] | None = None, batch: str | None = None) -> list[Kept]:
        """Every file of the quarantine, the oldest batch first; if wanted, what was below these folders, or one batch.

        :raises AirflowException: there is a file that no batch could have left
        """
        found = []
        for file in list_files(self.io, self.folder / batch if batch else self.folder):
            stamp, scheme, authority, path = self._parts(file.location)
            original = Location(scheme, "" if authority == NO_AUTHORITY else authority, path)
            original = Location.parse(original.uri)  # whoever took it may have called s3 s3a
            if below is None or any(folder.holds(original) for folder in below):
                found.append(Kept(file, stamp, original))
        return sorted(found, key=lambda kept: (kept.batch, kept.original))

    def restore(self, below: Collection[Location] | None = None, batch: str | None = None) -> QuarantineResult:
        """Bring files back to where they were, never over one that is there: of several copies the newest whole one."""
        done, left = [], []
        for whole, kept in self._newest(below, batch):
            if kept.file.bytes < whole.file.bytes:
                left.append(
                    f"{kept.file.location.uri} has {kept.file.bytes:,} bytes where another copy has {whole.file.bytes:,}: bring "
                    f"batch {whole.batch} back instead"
                )
                continue
            try:
                move(self.io, kept.file.location, kept.original)
            except FileExistsError:
                left.append(f"{kept.original.uri} is there again: {kept.file.location.uri} stays in quarantine")
            else:
                done.append(kept.file.bytes)
        return QuarantineResult(len(done), sum(done), tuple(left))

    def _newest(self, below: Collection[Location] | None, batch: str | None) -> Iterator[tuple[Kept, Kept]]:
        """Of each file the newest whole copy, and the best of the batch. A file never changes: a shorter copy is broken."""
        copies: dict[Location, list[Kept]] = defaultdict(list)
        for kept in self.kept(below):
            copies[kept.original].append(kept)
        for found in copies.values():
            found.sort(key=lambda kept: (kept.file.bytes, kept.batch))
            if asked_for := [kept for kept in found if batch in (None, kept.batch)]:
                yield found[-1], asked_for[-1]

    def purge(self, tables: Iterable[Table], taken_before: datetime, dry_run: bool = False) -> QuarantineResult:
        """Delete for good what was taken before a moment, but for what a table needs after all and does not have.

        :param tables: every table of the catalog, as its newest metadata describes it
        :raises AirflowException: a table that files were taken from cannot be read; nothing was deleted
        """
        due = [kept for kept in self.kept() if kept.taken_at < taken_before]
        needed = Reachable()
        for table in tables:
            if any(root.may_hold(kept.original) for root in roots(table) for kept in due):
                needed.add_table(table)
        gone, left = [], []
        for kept in due:
            twin = needed.twin(kept.original)
            if twin and (length(self.io, twin) or 0) < kept.file.bytes:
                what = "is" if twin == kept.original else f"looks like {twin.uri}, which is"
                left.append(
                    f"{kept.original.uri} {what} part of a table: bring batch {kept.batch} back with OPERATION=restore"
                )
            elif dry_run or delete(self.io, kept.file.location):
                gone.append(kept.file.bytes)
        if not dry_run and self.folder.scheme == "file":
            self._remove_empty({kept.batch for kept in due})
        return QuarantineResult(len(gone), sum(gone), tuple(left))

    def _remove_empty(self, batches: set[str]) -> None:
        """Remove folders of batches in which no file is left; object stores have none."""
        for batch in batches:
            if not any(list_files(self.io, self.folder / batch)):
                fs, path = (self.folder / batch).store(self.io)
                fs.delete_dir(path)

    def _parts(self, file: Location) -> tuple[str, str, str, str]:
        parts = file.below(self.folder).split("/", 3)
        try:
            stamp, scheme, authority, path = parts
            datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
        except ValueError as error:
            raise AirflowException(
                f"{file.uri} is in quarantine, but no maintenance put it there. Next: look what it is, and move it away."
            ) from error
        return stamp, scheme, authority, path
