"""Quarantine: files that were removed from tables are kept under their original paths for some days before they are deleted.

`<warehouse>/_quarantine/<yyyyMMddTHHmmssZ>/<scheme>/<authority or ->/<original path>`: files can be identified and restored from
their paths alone.
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

    :param batch: folder name of its batch, which is the time it was taken
    :param original: its original location
    """

    file: Listed
    batch: str
    original: Location

    @property
    def taken_at(self) -> datetime:
        return datetime.strptime(self.batch, STAMP).replace(tzinfo=UTC)


@dataclass(frozen=True)
class QuarantineResult:
    """How many files were moved or deleted, their total bytes, and which files were left in quarantine and why."""

    files: int
    bytes: int
    left: tuple[str, ...] = ()


class Quarantine:
    """The quarantine of the catalog's warehouse."""

    def __init__(self) -> None:
        """:raises AirflowException: the catalog's warehouse is a name, not an address"""
        from pyiceberg.io import load_file_io

        catalog = IcebergCatalogHook().catalog
        warehouse = catalog.properties.get("warehouse")
        try:
            self.folder = Location.parse(warehouse or "") / FOLDER
        except AirflowException as error:
            raise AirflowException(
                f"The warehouse {warehouse!r} of the connection iceberg_catalog is not the address of a folder, so there is no "
                "quarantine. Nothing was moved. Next: write `warehouse` as an address (s3://bucket/folder) in the connection's "
                "extra, or leave orphan files to the catalog's own service."
            ) from error
        self.io: FileIO = load_file_io(catalog.properties, warehouse)

    def new_batch(self) -> Location:
        """The folder of a new batch."""
        return self.folder / datetime.now(UTC).strftime(STAMP)

    def put(self, batch: Location, file: Location) -> None:
        """Move a file to quarantine."""
        move(self.io, file, batch / f"{file.scheme}/{file.authority or NO_AUTHORITY}/{file.path}")

    def kept(self, below: Collection[Location] | None = None, batch: str | None = None) -> list[Kept]:
        """The files in quarantine, oldest batch first: all, those of these original folders, or those of one batch.

        :raises AirflowException: there is a file that cannot have come from a batch
        """
        found = []
        for file in list_files(self.io, self.folder / batch if batch else self.folder):
            stamp, scheme, authority, path = self._parts(file.location)
            original = Location(scheme, "" if authority == NO_AUTHORITY else authority, path)
            original = Location.parse(original.uri)  # normalizes the scheme, such as s3a
            if below is None or any(folder.holds(original) for folder in below):
                found.append(Kept(file, stamp, original))
        return sorted(found, key=lambda kept: (kept.batch, kept.original))

    def restore(self, below: Collection[Location] | None = None, batch: str | None = None) -> QuarantineResult:
        """Move files back without overwriting existing ones; of several copies, the newest complete one."""
        done, left = [], []
        for whole, kept in self._newest(below, batch):
            if kept.file.bytes < whole.file.bytes:
                left.append(
                    f"{kept.file.location.uri} has {kept.file.bytes:,} bytes, but another copy has {whole.file.bytes:,}: restore "
                    f"batch {whole.batch} instead"
                )
                continue
            try:
                move(self.io, kept.file.location, kept.original)
            except FileExistsError:
                left.append(f"{kept.original.uri} exists: {kept.file.location.uri} stays in quarantine")
            else:
                done.append(kept.file.bytes)
        return QuarantineResult(len(done), sum(done), tuple(left))

    def _newest(self, below: Collection[Location] | None, batch: str | None) -> Iterator[tuple[Kept, Kept]]:
        """Of each file, the newest complete copy and the best in the batch. Files never change: a shorter copy is incomplete."""
        copies: dict[Location, list[Kept]] = defaultdict(list)
        for kept in self.kept(below):
            copies[kept.original].append(kept)
        for found in copies.values():
            found.sort(key=lambda kept: (kept.file.bytes, kept.batch))
            if asked_for := [kept for kept in found if batch in (None, kept.batch)]:
                yield found[-1], asked_for[-1]

    def purge(self, tables: Iterable[Table], taken_before: datetime, dry_run: bool = False) -> QuarantineResult:
        """Delete files that were taken before this time, except those that a table references after all and that are missing.

        :param tables: every table of the catalog, with its current metadata
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
                what = "is" if twin == kept.original else f"has the path of {twin.uri}, which is"
                left.append(
                    f"{kept.original.uri} {what} part of a table: restore batch {kept.batch} with OPERATION=restore"
                )
            elif dry_run or delete(self.io, kept.file.location):
                gone.append(kept.file.bytes)
        if not dry_run and self.folder.scheme == "file":
            self._remove_empty({kept.batch for kept in due})
        return QuarantineResult(len(gone), sum(gone), tuple(left))

    def _remove_empty(self, batches: set[str]) -> None:
        """Remove the folders of batches without files; object stores have no folders."""
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
                f"{file.uri} is in quarantine, but maintenance did not put it there. Next: see what it is, and move it elsewhere."
            ) from error
        return stamp, scheme, authority, path
