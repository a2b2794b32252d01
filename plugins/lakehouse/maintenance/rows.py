"""Whether a rewrite kept every row: judged by the summaries of snapshots, besides what Flink compares row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.iceberg import summary_of
from lakehouse.maintenance.observe import ancestry
from lakehouse.tables.history import is_rewrite

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata


def lost_rows(metadata: TableMetadata, since: int | None) -> list[str]:
    """What is wrong with the rows of the snapshots after `since`; empty when nothing is.

    Writers may have committed in between, so each snapshot is judged by the one before it. Where there are delete files a
    rewrite drops the rows that they delete, and the summaries cannot tell: such a snapshot is not judged.

    :param since: id of the snapshot before the rewrite, None when there was none
    """
    line = ancestry(metadata)
    ids = [snapshot.snapshot_id for snapshot in line]
    if since is not None and since not in ids:
        return [f"snapshot {since}, which was there before the rewrite, is not in the table's history any more"]
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
                f"snapshot {snapshot.snapshot_id} replaced {rows['deleted']:,} rows by {rows['added']:,}, and the table "
                f"went from {total['before']:,} rows to {total['after']:,}"
            )
    return wrong
