"""What maintenance a table needs: for each operation a score, which is due from 1 on, and the reason. Pure functions.

A partition that was not written to for a while is closed: it is rewritten fully, once, because afterwards there is nothing left
to save. An open partition keeps getting small files: it is rewritten lightly, only when that saves many files, and only up to a
number of bytes: twice the inflow of an hour, so that a table with a high rate or a backlog can catch up. So the same rules work
for tables that are partitioned by Kafka partition, which never closes, and by day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.maintenance.conditions import conditions
from lakehouse.maintenance.observe import PartitionState, TableState
from lakehouse.maintenance.settings import Operation, Thresholds

#: Target size of a manifest (Iceberg's `commit.manifest.target-size-bytes`).
MANIFEST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Decision:
    """Whether an operation is due.

    :param score: the highest ratio of a measured value to its threshold; due from 1 on
    :param reason: why it is due, or why not
    :param calls: arguments of each call of the procedure
    """

    operation: Operation
    score: float
    reason: str
    calls: tuple[Mapping[str, Any], ...] = ({},)

    @property
    def due(self) -> bool:
        return self.score >= 1


def decide(
    operation: Operation,
    table: TableState,
    limits: Thresholds,
    now_ms: int,
    last_done_ms: int | None = None,
    force: bool = False,
    sort_order: str | None = None,
) -> Decision:
    """Decide whether a table needs this operation now.

    :param last_done_ms: when it last succeeded on this table (epoch milliseconds), if known
    :param force: a person requested it: it is due if there is anything to do
    :param sort_order: columns to sort a closed partition by when it is rewritten; None: bin-packing only
    """
    match operation:
        case Operation.REWRITE_DATA_FILES:
            return _rewrite(table, limits, now_ms, force, sort_order)
        case Operation.REWRITE_MANIFESTS:
            return _manifests(table, limits, force)
        case Operation.EXPIRE_SNAPSHOTS:
            return _expire(table, limits, now_ms, last_done_ms, force)
        case Operation.REMOVE_ORPHAN_FILES:
            return _orphans(table, limits, now_ms, last_done_ms, force)


def saved_files(partition: PartitionState, limits: Thresholds) -> int:
    """By how many files the count drops when the small ones are packed into files of the target size."""
    return partition.small_files - math.ceil(partition.small_bytes / limits.target_file_bytes)


def is_closed(partition: PartitionState, limits: Thresholds, now_ms: int) -> bool:
    """Whether nothing was written to the partition for long enough."""
    return now_ms - partition.written_ms >= limits.closed_after_s * 1000


def _rewrite(table: TableState, limits: Thresholds, now_ms: int, force: bool, sort_order: str | None) -> Decision:
    min_saved = 1 if force else limits.open_files

    def score(partition: PartitionState) -> float:
        if is_closed(partition, limits, now_ms):
            return max(saved_files(partition, limits), partition.delete_files)
        return max(
            saved_files(partition, limits) / max(min_saved, 1), partition.delete_files / max(limits.delete_files, 1)
        )

    scores = {partition: score(partition) for partition in table.partitions}
    due = [partition for partition, found in scores.items() if found >= 1]
    highest = max(scores.values(), default=0)
    if not due:
        return Decision(
            Operation.REWRITE_DATA_FILES, highest, f"{table.name}: {_nothing_to_rewrite(table, limits, min_saved)}", ()
        )
    closed = [partition for partition in due if is_closed(partition, limits, now_ms)]
    open_ = [partition for partition in due if not is_closed(partition, limits, now_ms)]
    small, deletes = (sum(getattr(p, what) for p in due) for what in ("small_files", "delete_files"))
    found = [_many(small, "small file")] + ([_many(deletes, "delete file")] if deletes else [])
    how = [f"{_many(len(closed), 'closed partition')} fully"] if closed else []
    how += [f"{_many(len(open_), 'open one')} lightly"] if open_ else []
    reason = f"{table.name}: {' and '.join(found)} in {_many(len(due), 'partition')}, {', '.join(how)}"
    calls = (
        *_calls(table, closed, _fully(limits, sort_order)),
        *_calls(table, open_, _lightly(table, limits, min_saved)),
    )
    return Decision(Operation.REWRITE_DATA_FILES, highest, reason, calls)


def _nothing_to_rewrite(table: TableState, limits: Thresholds, min_saved: int) -> str:
    small = sum(partition.small_files for partition in table.partitions)
    if not small:
        return "no small files"
    return (
        f"{_many(small, 'small file')} in {_many(len(table.partitions), 'partition')}, but a rewrite would save nothing in "
        f"closed partitions, and less than {_many(min_saved, 'file')} in any open one"
    )


def _fully(limits: Thresholds, sort_order: str | None) -> dict[str, Any]:
    how = {"strategy": "sort", "sort_order": sort_order} if sort_order else {"strategy": "binpack"}
    return {**how, "target_file_size_bytes": limits.target_file_bytes, "min_input_files": 2, "delete_file_threshold": 1}


def _lightly(table: TableState, limits: Thresholds, min_saved: int) -> dict[str, Any]:
    return {
        "strategy": "binpack",
        "target_file_size_bytes": limits.target_file_bytes,
        "min_input_files": max(min_saved, 2),
        "delete_file_threshold": max(limits.delete_files, 1),
        "max_rewrite_bytes": max(limits.open_rewrite_bytes, 2 * table.inflow_bytes),
    }


def _calls(table: TableState, partitions: list[PartitionState], how: dict[str, Any]) -> list[dict[str, Any]]:
    """The arguments of the calls for these partitions."""
    if not partitions:
        return []
    keys = [partition.key for partition in partitions if partition.key]
    # If all are selected, or one is a whole table or cannot be selected by SQL, the procedure finds the small files itself.
    if len(keys) < len(partitions) or len(partitions) == len(table.partitions):
        return [how]
    return [{**how, "where": condition} for condition in conditions(keys)]


def _manifests(table: TableState, limits: Thresholds, force: bool) -> Decision:
    fewest = max(1, math.ceil(table.manifest_bytes / MANIFEST_BYTES))
    too_many = table.manifests - fewest
    score = too_many / (1 if force else max(limits.manifests, 1))
    text = f"{_many(table.manifests, 'manifest')}, {fewest} would suffice (limit {limits.manifests} more)"
    return Decision(Operation.REWRITE_MANIFESTS, score, f"{table.name}: {text}")


def _expire(table: TableState, limits: Thresholds, now_ms: int, last_ms: int | None, force: bool) -> Decision:
    older_than_ms = int(now_ms - limits.snapshot_age_s * 1000)
    old = sum(1 for time in table.snapshot_times[int(limits.retain_last) :] if time < older_than_ms)
    kept = f"the last {limits.retain_last} and those of the last {_age(limits.snapshot_age_s)} are kept"
    if not old:
        text = f"none of {_many(len(table.snapshot_times), 'snapshot')} is old enough to expire; {kept}"
        return Decision(Operation.EXPIRE_SNAPSHOTS, 0, f"{table.name}: {text}", ())
    # Without a known expiry, the age of the oldest snapshot is how long expiry has been pending.
    waited_s = (now_ms - (last_ms if last_ms is not None else table.snapshot_times[-1])) / 1000
    scores = {
        f"{_many(old, 'snapshot')} may expire (limit {limits.snapshots})": old / max(limits.snapshots, 1),
        f"the metadata file has {table.metadata_bytes:,} bytes (limit {limits.metadata_bytes:,})": (
            table.metadata_bytes / max(limits.metadata_bytes, 1)
        ),
        f"the last expiry was {_age(waited_s)} ago (every {_age(limits.expire_every_s)})": (
            waited_s / max(limits.expire_every_s, 1)
        ),
    }
    worst = max(scores, key=scores.__getitem__)
    reason = f"{table.name}: {_many(old, 'snapshot')} may expire, {'requested' if force else worst}; {kept}"
    call = {"older_than": older_than_ms, "retain_last": int(limits.retain_last)}
    return Decision(Operation.EXPIRE_SNAPSHOTS, max(scores[worst], force), reason, (call,))


def _orphans(table: TableState, limits: Thresholds, now_ms: int, last_ms: int | None, force: bool) -> Decision:
    waited_s = math.inf if last_ms is None else (now_ms - last_ms) / 1000
    score = max(waited_s / max(limits.orphans_every_s, 1), force)
    last = "never" if last_ms is None else f"{_age(waited_s)} ago"
    reason = f"{table.name}: last search for orphan files {last} (every {_age(limits.orphans_every_s)})"
    return Decision(
        Operation.REMOVE_ORPHAN_FILES, score, reason, ({"older_than": int(now_ms - limits.orphan_age_s * 1000)},)
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _age(seconds: float) -> str:
    """A duration in the largest suitable unit."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return _many(round(seconds / length), unit)
    return _many(round(seconds), "second")
