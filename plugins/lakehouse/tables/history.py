"""The history of an Iceberg table, commit by commit, as far as its snapshots have not expired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.iceberg import summary_of
from lakehouse.tables.commits import MADE_FOR

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


def newer_snapshots(table: Table, than: int | None) -> tuple[list[Snapshot], bool]:
    """The snapshots after a given one, up to the current one, newest first.

    :param than: id of the snapshot; None: the empty table
    :return: the known snapshots, and whether they are complete: False if some have expired, or `than` is not an ancestor of the
        current snapshot
    """
    by_id = _by_id(table)
    snapshot = table.current_snapshot()
    found: list[Snapshot] = []
    current = snapshot.snapshot_id if snapshot else None
    while current != than:
        snapshot = None if current is None else by_id(current)
        if snapshot is None:
            return found, False
        found.append(snapshot)
        current = snapshot.parent_snapshot_id
    return found, True


def newest_first(table: Table) -> Iterator[Snapshot]:
    """The current snapshot and its ancestors, as far as they have not expired."""
    by_id = _by_id(table)
    snapshot = table.current_snapshot()
    while snapshot:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = by_id(parent) if parent is not None else None


def _by_id(table: Table) -> Callable[[int], Snapshot | None]:
    """A function that finds snapshots by id; pyiceberg's own searches linearly each time."""
    from lakehouse.tables.lazy_table import LazyTable

    if isinstance(table, LazyTable):
        return table.snapshot_by_id
    return {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}.get


def is_rewrite(snapshot: Snapshot) -> bool:
    """Whether a commit only rewrote rows to other files, as compaction does, according to its summary."""
    from pyiceberg.table.snapshots import Operation

    return snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE


def adds_rows(snapshot: Snapshot) -> bool:
    """Whether a commit added rows."""
    return not is_rewrite(snapshot) and _counts(snapshot, "added-records")


def removes_rows(snapshot: Snapshot) -> bool:
    """Whether a commit removed or changed rows."""
    return not is_rewrite(snapshot) and _counts(
        snapshot, "deleted-records", "added-position-deletes", "added-equality-deletes"
    )


def snapshots_since(table: Table, since_ms: int) -> list[Snapshot]:
    """The snapshots that were committed since then, oldest first.

    Older ones are not read: there are thousands a day, and they are in the order of their commits.
    """
    newest = takewhile(lambda found: found.timestamp_ms >= since_ms, reversed(table.metadata.snapshots))
    return [*newest][::-1]


@dataclass(frozen=True)
class ForeignChange:
    """A change of a table by another program.

    :param text: as a sentence without a full stop
    :param removes: whether it may have removed rows
    """

    text: str
    removes: bool


def foreign_changes(table: Table, since_ms: int) -> Iterator[ForeignChange]:
    """Commits since then that neither Flink nor the platform made, and rollbacks, oldest first.

    Commits of Flink jobs are not foreign here: they name their job. Rewrites of the same rows do not count.
    """
    name = ".".join(table.name())
    for snapshot in snapshots_since(table, since_ms):
        summary = summary_of(snapshot)
        if snapshot.summary is None or is_rewrite(snapshot) or "flink.job-id" in summary or MADE_FOR in summary:
            continue
        engine = summary.get("engine-name")
        rows = ", ".join(
            f"{int(summary[key]):,} rows {what}"
            for key, what in (("added-records", "added"), ("deleted-records", "deleted"))
            if int(summary.get(key, 0))
        )
        yield ForeignChange(
            f"table {name} was changed by {engine or 'a program other than Flink'} at {_time(snapshot.timestamp_ms)}: "
            f"{snapshot.summary.operation.value} ({rows or 'no rows'}; snapshot {snapshot.snapshot_id})",
            removes_rows(snapshot),
        )
    yield from _rollbacks(table, name, since_ms)


def _rollbacks(table: Table, name: str, since_ms: int) -> Iterator[ForeignChange]:
    """Times at which an older snapshot became the current one again."""
    by_id, made = _by_id(table), []
    for entry in reversed(table.metadata.snapshot_log):
        made.append(entry)
        if entry.timestamp_ms < since_ms:
            break
    for later, before in pairwise(made):
        old, new = by_id(before.snapshot_id), by_id(later.snapshot_id)
        if old and new and new.timestamp_ms < old.timestamp_ms:
            at = _time(later.timestamp_ms)
            yield ForeignChange(
                f"table {name} was rolled back at {at}, from snapshot {old.snapshot_id} to {new.snapshot_id}", True
            )


def _time(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _counts(snapshot: Snapshot, *names: str) -> bool:
    summary = summary_of(snapshot)
    return any(int(summary.get(name, 0)) for name in names)
