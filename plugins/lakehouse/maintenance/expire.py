"""Expiry by pyiceberg: one contiguous oldest part of main's history, below whatever a writer or reader needs.

The files that only the expired snapshots led to are deleted here, as Iceberg's own expiry does, and not left to orphan
removal: they are most of what a streaming table throws away, so that a full warehouse gets room at once; the result does not
depend on the engine; and orphans stay rare, which is what makes a share of them that is too high tell of a mistake. Which
they are is found by the same function as for orphans, from the table as it is after the commit. Whatever a crash leaves of
them is an orphan, and goes that way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import summary_of
from lakehouse.maintenance.locations import Location, checksum, delete
from lakehouse.maintenance.observe import ancestry, table_name
from lakehouse.maintenance.procedures import Protected
from lakehouse.maintenance.reachable import Reachable
from lakehouse.tables.commits import commit_tries

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.update import TableUpdate, ValidatableTableRequirement

log = logging.getLogger(__name__)

MARKER = "flink.max-committed-checkpoint-id"
DELETERS = 8


@dataclass(frozen=True)
class Expiry:
    """What was, or would be, expired.

    :param snapshots: ids, newest first
    :param files: that only they led to, with their bytes as far as is known
    :param undeleted: files of those that could not be deleted; orphan removal finds them
    """

    snapshots: tuple[int, ...] = ()
    files: Mapping[Location, int] = field(default_factory=dict)
    undeleted: int = 0


def plan(metadata: TableMetadata, older_than_ms: int, retain_last: int, protected: list[Protected]) -> list[Snapshot]:
    """The snapshots to expire, newest first: the oldest of main's history, without a gap but for branches and tags.

    :raises AirflowException: what is protected is not there any more, or a writer's last commit is not protected
    """
    line = ancestry(metadata)
    place = {snapshot.snapshot_id: number for number, snapshot in enumerate(line)}
    keep = retain_last
    for number, snapshot in enumerate(line):
        if snapshot.timestamp_ms >= older_than_ms:
            keep = max(keep, number + 1)
    for found in protected:
        if metadata.snapshot_by_id(found.snapshot_id) is None:
            raise AirflowException(
                f"Snapshot {found.snapshot_id}, which {found.by} needs, is gone: nothing was expired. Next: see in "
                "ops.maintenance_log and make history who expired it, and restart that job."
            )
        if not found.alone and found.snapshot_id in place:  # what is on another branch alone is not up for expiry
            keep = max(keep, place[found.snapshot_id] + 1)
    heads = {ref.snapshot_id for ref in metadata.refs.values()} | {p.snapshot_id for p in protected if p.alone}
    going = line[keep:]
    _refuse_last_marker(line, going)
    return [snapshot for snapshot in going if snapshot.snapshot_id not in heads]


def _refuse_last_marker(line: list[Snapshot], going: list[Snapshot]) -> None:
    """The list of what is protected is another program's: whatever it says, the last marker of all stays."""
    last = next((s for s in line if MARKER in summary_of(s)), None)
    if last in going:
        raise AirflowException(
            f"Snapshot {last.snapshot_id} holds the last commit marker of a Flink job, but is not said to be protected: nothing "
            "was expired. Next: see what CALL protected_snapshots says of the table."
        )


def only_of(table: Table, metadata: TableMetadata, going: list[Snapshot], kept: Reachable) -> dict[Location, int]:
    """The files that these snapshots lead to and the kept ones do not, with their bytes as far as is known.

    :param metadata: that still has these snapshots
    """
    theirs = Reachable()
    theirs.add_snapshots(table, going)
    ids = {snapshot.snapshot_id for snapshot in going}
    statistics = (*metadata.statistics, *metadata.partition_statistics)
    theirs.files |= {
        Location.parse(found.statistics_path): found.file_size_in_bytes
        for found in statistics
        if found.snapshot_id in ids
    }
    return {file: size for file, size in theirs.files.items() if file not in kept.files}


def look(table: Table, older_than_ms: int, retain_last: int, protected: list[Protected]) -> Expiry:
    """What expiring would do. Errors as of `plan`, or when a file cannot be read."""
    going = plan(table.metadata, older_than_ms, retain_last, protected)
    ids = [snapshot.snapshot_id for snapshot in going]
    kept = Reachable()
    kept.add_snapshots(table, [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id not in ids])
    return Expiry(tuple(ids), only_of(table, table.metadata, going, kept))


def expire(
    table: Table, older_than_ms: int, retain_last: int, protected: list[Protected], still_ours: Callable[[], None]
) -> Expiry:
    """Expire, then delete the files that nothing leads to any more.

    Writers that commit at the same time are no hindrance: it is planned and tried again from the newest metadata.

    :param still_ours: raises when somebody else may be at the table
    :raises AirflowException: as `plan`; or a file cannot be read: then nothing was deleted
    :raises CommitFailedException: others committed first, each time
    """
    for attempt in commit_tries():
        with attempt:
            before = table.refresh().metadata
            going = plan(before, older_than_ms, retain_last, protected)
            if not going:
                return Expiry()
            still_ours()
            _commit(table, going)
    kept = Reachable()
    kept.add_table(table.refresh())
    files = only_of(table, before, going, kept)
    still_ours()
    with ThreadPoolExecutor(DELETERS) as deleters:
        undeleted = sum(deleters.map(lambda file: not _delete(table, file), files))
    return Expiry(tuple(snapshot.snapshot_id for snapshot in going), files, undeleted)


def _commit(table: Table, going: list[Snapshot]) -> None:
    """Take the snapshots out of the metadata, with their statistics, unless a branch or tag has come to need one."""
    from pyiceberg.table.update import (
        AssertTableUUID,
        RemovePartitionStatisticsUpdate,
        RemoveSnapshotsUpdate,
    )

    ids = [snapshot.snapshot_id for snapshot in going]
    statistics = {found.snapshot_id for found in table.metadata.partition_statistics} & set(ids)
    updates: tuple[TableUpdate, ...] = (
        *(RemovePartitionStatisticsUpdate(snapshot_id=snapshot_id) for snapshot_id in sorted(statistics)),
        RemoveSnapshotsUpdate(snapshot_ids=ids),
    )
    requirements = (AssertTableUUID(uuid=table.metadata.table_uuid), _unneeded(ids))
    table.catalog.commit_table(table, requirements, updates)  # type: ignore[arg-type]  # a requirement of our own


def _unneeded(ids: list[int]) -> ValidatableTableRequirement:
    """A requirement of a commit: no branch or tag is at one of these snapshots.

    pyiceberg would remove the branch or tag along with it. A catalog in a database asks requirements where they are made.
    """
    from pyiceberg.exceptions import CommitFailedException
    from pyiceberg.table.update import ValidatableTableRequirement

    class Unneeded(ValidatableTableRequirement):
        type: str = "lakehouse-unneeded"

        def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
            for name, ref in base_metadata.refs.items() if base_metadata else ():
                if ref.snapshot_id in ids:
                    raise CommitFailedException(f"{name} has come to need snapshot {ref.snapshot_id}")

    return Unneeded()


def _delete(table: Table, file: Location) -> bool:
    """Delete a file with its checksum; whether it is gone. What stays is an orphan."""
    try:
        delete(table.io, file)
        if file.scheme == "file":
            delete(table.io, checksum(file))
    except OSError as error:
        log.warning("%s of %s could not be deleted: %s", file.uri, table_name(table), error)
        return False
    return True
