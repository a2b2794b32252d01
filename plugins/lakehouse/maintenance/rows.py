"""Checks that a rewrite kept every row, by the summaries of snapshots; in addition, Flink compares the rows themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.iceberg import summary_of
from lakehouse.maintenance.observe import ancestry
from lakehouse.tables.history import is_rewrite

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata


def lost_rows(metadata: TableMetadata, since: int | None) -> list[str]:
    """Problems with the row counts of the rewrites after `since`; empty if there are none.

    Writers may have committed in between, so each snapshot is compared with its parent. A rewrite that applies delete files drops
    rows legitimately, and the summaries do not show how many: such a snapshot is not checked.

    :param since: id of the snapshot before the rewrite; None if there was none
    """
    line = ancestry(metadata)
    ids = [snapshot.snapshot_id for snapshot in line]
    if since is not None and since not in ids:
        return [f"snapshot {since}, the current one before the rewrite, is no longer in the table's history"]
    wrong = []
    newer = line[: ids.index(since)] if since is not None else line[:-1]
    for snapshot, parent in zip(newer, line[1:], strict=False):
        after, before = summary_of(snapshot), summary_of(parent)
        if not is_rewrite(snapshot) or int(before.get("total-delete-files", 0)):
            continue
        rows = {name: int(after.get(f"{name}-records", 0)) for name in ("added", "deleted")}
        total = {when: int(summary.get("total-records", 0)) for when, summary in (("before", before), ("after", after))}
        if rows["added"] != rows["deleted"] or total["before"] != total["after"]:
            wrong.append(
                f"snapshot {snapshot.snapshot_id} replaced {rows['deleted']:,} rows with {rows['added']:,}, and the table "
                f"went from {total['before']:,} rows to {total['after']:,}"
            )
    return wrong
