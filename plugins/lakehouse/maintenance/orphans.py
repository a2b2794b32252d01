"""Orphan removal with pyiceberg: unreferenced files in a table's folders are moved to quarantine.

Files are listed before the table's references are read, so that a file which is committed in between counts as referenced. Files
below the minimum age may be in flight: an uncommitted file is known to Flink's state only.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance.locations import Listed, Location, checked, list_files, move, roots
from lakehouse.maintenance.observe import table_name
from lakehouse.maintenance.quarantine import Quarantine
from lakehouse.maintenance.reachable import Reachable

if TYPE_CHECKING:
    from pyiceberg.table import Table

log = logging.getLogger(__name__)

#: With fewer files, a percentage is meaningless: one orphan of three files is a third.
PERCENT_FROM_FILES = 20
HIDDEN = (".", "_")


@dataclass(frozen=True)
class Orphans:
    """The orphans of a table.

    :param listed: number of files in the table's folders
    :param files: unreferenced files, including their checksum files
    """

    listed: int
    files: tuple[Listed, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def require_safe(table: Table) -> None:
    """Reject a table that may share files with another, or whose files cannot be moved to quarantine.

    :raises AirflowException: `gc.enabled` is false; its folders and those of another table overlap; or one of its folders is in
        another store than the quarantine
    """
    name, own, quarantine = table_name(table), roots(table), Quarantine().folder
    if table.properties.get("gc.enabled", "true").lower() == "false":
        raise AirflowException(
            f"{name} has gc.enabled = false: it may share files with another table. Nothing was removed."
        )
    for mine in own:
        if not mine.moves_to(quarantine):
            raise AirflowException(
                f"{mine.uri}, a folder of {name}, is in another store than the quarantine ({quarantine.uri}). Nothing was "
                "removed. Next: keep the table in the store of the warehouse (location, write.data.path, write.metadata.path)."
            )
    for other in IcebergCatalogHook().lazy_tables():
        if table_name(other) == name:
            continue
        for mine, theirs in product(own, roots(other)):
            if mine.may_hold(theirs) or theirs.may_hold(mine):
                raise AirflowException(
                    f"The folders of {name} ({mine.uri}) and {table_name(other)} ({theirs.uri}) overlap: an orphan of one table "
                    "may be a file of the other. Nothing was removed. Next: move one of them; if these are in fact two stores, "
                    "use different paths in them."
                )


def find(table: Table, older_than_ms: int, max_percent: float) -> Orphans:
    """Find the orphans of a table.

    :param older_than_ms: files written since then are left alone (epoch milliseconds)
    :param max_percent: fail if a larger share of the files seems to be orphans
    :raises AirflowException: the table is not safe, something cannot be read, or there are too many orphans
    """
    require_safe(table)
    own, partitions = roots(table), _partition_folders(table)
    files: dict[Location, list[Listed]] = defaultdict(list)  # each with its checksum
    try:
        for root in own:
            for file in list_files(table.io, root):
                files[checked(file.location)].append(file)
    except OSError as error:
        raise AirflowException(
            f"{', '.join(root.uri for root in own)} cannot be listed completely ({error}): nothing was removed. Next: make sure "
            "that the warehouse is available."
        ) from error
    reachable = Reachable()
    reachable.add_table(table.refresh())
    found = [
        copies
        for file, copies in files.items()
        if file not in reachable
        and max(copy.written_ms for copy in copies) < older_than_ms
        and not any(_is_hidden(file, root, partitions) for root in own if root.holds(file))
    ]
    _refuse_lookalikes(table, [copy.location for copies in found for copy in copies], reachable)
    if len(files) >= PERCENT_FROM_FILES and len(found) > len(files) * max_percent / 100:
        raise AirflowException(
            f"{len(found):,} of the {len(files):,} files of {table_name(table)} seem to be orphans, more than {max_percent:g} %. "
            "This is probably a mistake, so nothing was removed. Next: check them with DRY_RUN=1 and a higher orphan_percent; "
            "if they really are orphans, run it with that orphan_percent."
        )
    listed = sum(len(copies) for copies in files.values())
    return Orphans(listed, tuple(copy for copies in found for copy in copies))


def remove(table: Table, orphans: Orphans, check_lease: Callable[[], None]) -> Location | None:
    """Move orphans to quarantine, then check again, and move back those that a commit has meanwhile made part of the table.

    :param check_lease: raises if the lease was lost
    :return: the batch in quarantine; None if there was nothing to do
    """
    if not orphans.files:
        return None
    quarantine = Quarantine()
    batch = quarantine.new_batch()
    try:
        for number, file in enumerate(orphans.files):
            if number % 100 == 0:
                check_lease()
            try:
                quarantine.put(batch, file.location)
            except FileNotFoundError:
                log.info("%s is already gone", file.location.uri)
    finally:
        _restore_referenced(table, quarantine, batch)
    return batch


def _restore_referenced(table: Table, quarantine: Quarantine, batch: Location) -> None:
    """Move the files of a batch back that the table references now."""
    needed = Reachable()
    needed.add_table(table.refresh())
    for kept in quarantine.kept(batch=batch.name):
        if needed.twin(kept.original) or needed.twin(checked(kept.original)):
            log.warning("%s was committed in the meantime: moved back", kept.original.uri)
            with suppress(FileExistsError):  # a failed move may have left both
                move(quarantine.io, kept.file.location, kept.original)


def _is_hidden(file: Location, folder: Location, partitions: tuple[str, ...]) -> bool:
    """Whether a file may belong to another program: Hadoop and Iceberg ignore such names too, except partition folders."""
    *folders, name = file.below(folder).split("/")
    return name.startswith(HIDDEN) or any(
        part.startswith(HIDDEN) and not part.startswith(partitions) for part in folders
    )


def _partition_folders(table: Table) -> tuple[str, ...]:
    """Prefixes of the table's partition folders, for all its specs."""
    return tuple(f"{quote_plus(field.name)}=" for spec in table.specs().values() for field in spec.fields)


def _refuse_lookalikes(table: Table, found: list[Location], reachable: Reachable) -> None:
    """Fail if an orphan has the path of a referenced file with another scheme or bucket: maybe two names of one store."""
    for file in found:
        if twin := reachable.twin(file):
            raise AirflowException(
                f"{file.uri} has the path of {twin.uri}, which is part of {table_name(table)}: probably two names of one store. "
                "Nothing was removed. Next: write the warehouse in the connection iceberg_catalog as in the table's metadata."
            )
