"""Orphan removal by pyiceberg: files in a table's folders that nothing leads to go to quarantine.

Listed first, and only then is it read what the table leads to: a file that is committed in between is known. What is younger
than the minimum age may be in flight, because an uncommitted file is known to Flink's state alone.
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

#: Below so many files a share says nothing: of three files, one orphan is a third.
SHARE_FROM_FILES = 20
HIDDEN = (".", "_")


@dataclass(frozen=True)
class Orphans:
    """What was found.

    :param listed: files that are in the table's folders
    :param files: those of them that nothing leads to, each with its checksum
    """

    listed: int
    files: tuple[Listed, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def refuse_unsafe(table: Table) -> None:
    """Refuse a table whose files may be another's, or cannot go to quarantine.

    :raises AirflowException: it says so itself (`gc.enabled`); a folder of another table is in one of its own, or the other way
        round; or one of its own is in another store than the quarantine
    """
    name, own, quarantine = table_name(table), roots(table), Quarantine().folder
    if table.properties.get("gc.enabled", "true").lower() == "false":
        raise AirflowException(
            f"{name} has gc.enabled = false: its files may be another table's too. Nothing was removed."
        )
    for mine in own:
        if not mine.moves_to(quarantine):
            raise AirflowException(
                f"{mine.uri}, where {name} keeps files, is in another store than the quarantine ({quarantine.uri}). Nothing was "
                "removed. Next: keep the table in the store of the warehouse (location, write.data.path, write.metadata.path)."
            )
    for other in IcebergCatalogHook().every_glance():
        if table_name(other) == name:
            continue
        for mine, theirs in product(own, roots(other)):
            if mine.may_hold(theirs) or theirs.may_hold(mine):
                raise AirflowException(
                    f"{name} ({mine.uri}) and {table_name(other)} ({theirs.uri}) are one in the other: what is one's orphan may "
                    "be the other's file. Nothing was removed. Next: move one of them; where these are two stores after all, "
                    "give them different paths."
                )


def find(table: Table, older_than_ms: int, most_percent: float) -> Orphans:
    """Find the orphans of a table.

    :param older_than_ms: files written since are left alone (epoch milliseconds)
    :param most_percent: refuse to believe in more orphans than this share of the files
    :raises AirflowException: the table is not safe, something cannot be read, or too much would go; nothing was removed
    """
    refuse_unsafe(table)
    own, partitions = roots(table), _partition_folders(table)
    files: dict[Location, list[Listed]] = defaultdict(list)  # each with its checksum
    try:
        for root in own:
            for file in list_files(table.io, root):
                files[checked(file.location)].append(file)
    except OSError as error:
        raise AirflowException(
            f"{', '.join(root.uri for root in own)} cannot be listed as a whole ({error}): nothing was removed. Next: see that "
            "the warehouse answers."
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
    if len(files) >= SHARE_FROM_FILES and len(found) > len(files) * most_percent / 100:
        raise AirflowException(
            f"{len(found):,} of the {len(files):,} files of {table_name(table)} would be orphans, more than {most_percent:g} %: "
            "that is hard to believe, and nothing was removed. Next: look at them with DRY_RUN=1 and a higher orphan_percent; "
            "if they are, run it with that."
        )
    listed = sum(len(copies) for copies in files.values())
    return Orphans(listed, tuple(copy for copies in found for copy in copies))


def remove(table: Table, orphans: Orphans, still_ours: Callable[[], None]) -> Location | None:
    """Move orphans to quarantine, then look again: one that a commit has made part of the table meanwhile comes back.

    :param still_ours: raises when somebody else may be at the table
    :return: the batch, None when there was nothing to do
    """
    if not orphans.files:
        return None
    quarantine = Quarantine()
    batch = quarantine.new_batch()
    try:
        for number, file in enumerate(orphans.files):
            if number % 100 == 0:
                still_ours()
            try:
                quarantine.put(batch, file.location)
            except FileNotFoundError:
                log.info("%s is gone already", file.location.uri)
    finally:
        _bring_back(table, quarantine, batch)
    return batch


def _bring_back(table: Table, quarantine: Quarantine, batch: Location) -> None:
    """Of a batch, what the table has come to lead to."""
    needed = Reachable()
    needed.add_table(table.refresh())
    for kept in quarantine.kept(batch=batch.name):
        if needed.twin(kept.original) or needed.twin(checked(kept.original)):
            log.warning("%s was committed meanwhile: it is back", kept.original.uri)
            with suppress(FileExistsError):  # a move that failed may have left both
                move(quarantine.io, kept.file.location, kept.original)


def _is_hidden(file: Location, folder: Location, partitions: tuple[str, ...]) -> bool:
    """Whether another program's: Hadoop and Iceberg pass such names over too, but for folders of the table's own partitions."""
    *folders, name = file.below(folder).split("/")
    return name.startswith(HIDDEN) or any(
        part.startswith(HIDDEN) and not part.startswith(partitions) for part in folders
    )


def _partition_folders(table: Table) -> tuple[str, ...]:
    """What the folders of its partitions begin with, of all its specs."""
    return tuple(f"{quote_plus(field.name)}=" for spec in table.specs().values() for field in spec.fields)


def _refuse_lookalikes(table: Table, found: list[Location], reachable: Reachable) -> None:
    """Refuse when an orphan has the path of a file of the table, but another scheme or bucket: two names of one store."""
    for file in found:
        if twin := reachable.twin(file):
            raise AirflowException(
                f"{file.uri} looks like {twin.uri}, which is part of {table_name(table)}: two names of one store? Nothing was "
                "removed. Next: write the warehouse in the connection iceberg_catalog as the table's metadata does."
            )
