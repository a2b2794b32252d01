"""What happened to an Iceberg table, commit by commit, as far as its snapshots are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.iceberg import summary_of

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


def newer_snapshots(table: Table, than: int | None) -> tuple[list[Snapshot], bool]:
    """The snapshots after one up to the current one, newest first.

    :param than: id of the snapshot; None: the empty table
    :return: the snapshots that are known, and whether they are all: False when older ones were expired, or `than` is no
        ancestor of the current one
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


def _by_id(table: Table) -> Callable[[int], Snapshot | None]:
    """Finds snapshots by their ids; pyiceberg itself searches through all of them each time."""
    from lakehouse.tables.glance import Glance

    if isinstance(table, Glance):
        return table.snapshot_by_id
    return {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}.get


def is_rewrite(snapshot: Snapshot) -> bool:
    """Whether a commit says that it put the same rows into other files, as compaction does."""
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


def _counts(snapshot: Snapshot, *names: str) -> bool:
    said = summary_of(snapshot)
    return any(int(said.get(name, 0)) for name in names)
