"""What a table needs: for each operation a score, 1 or more when it is due, and the reason. Pure functions.

A partition to which nothing was written for a time is closed: it is rewritten whole, and then has nothing left to save, so
it is done once. One that is being written grows small files again at once: it is rewritten lightly, when that saves many
files, and only up to a number of bytes: twice what arrives in an hour, so that a table which is written to fast, or has
fallen behind, gets there. By this a table that is kept by Kafka partition, none of which ever closes, and one
that is kept by day need no rules of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.maintenance.conditions import conditions
from lakehouse.maintenance.observe import PartitionState, TableState
from lakehouse.maintenance.settings import Operation, Thresholds

#: Manifests that hold less are small (Iceberg's `commit.manifest.target-size-bytes`).
MANIFEST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Decision:
    """What to do about one operation.

    :param score: what was found over what is allowed, of the worst; due from 1 on
    :param reason: why it is due, or why it is not
    :param calls: arguments of the calls that do it, as the procedure of that name takes them
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
    at_once: bool = False,
    sort_order: str | None = None,
) -> Decision:
    """Whether a table needs this operation now.

    :param last_done_ms: when it was last done to this table (epoch milliseconds), as far as is known
    :param at_once: somebody asks for it: what can be done is due, however little it is
    :param sort_order: columns that a closed partition is sorted by when it is rewritten; None: it is only packed
    """
    match operation:
        case Operation.REWRITE_DATA_FILES:
            return _rewrite(table, limits, now_ms, at_once, sort_order)
        case Operation.REWRITE_MANIFESTS:
            return _manifests(table, limits, at_once)
        case Operation.EXPIRE_SNAPSHOTS:
            return _expire(table, limits, now_ms, last_done_ms, at_once)
        case Operation.REMOVE_ORPHAN_FILES:
            return _orphans(table, limits, now_ms, last_done_ms, at_once)


def saved_files(partition: PartitionState, limits: Thresholds) -> int:
    """How many files fewer there are when the small ones are packed into files of the target size."""
    return partition.small_files - math.ceil(partition.small_bytes / limits.target_file_bytes)


def is_closed(partition: PartitionState, limits: Thresholds, now_ms: int) -> bool:
    """Whether nothing was written to it for long enough."""
    return now_ms - partition.written_ms >= limits.closed_after_s * 1000


def _rewrite(table: TableState, limits: Thresholds, now_ms: int, at_once: bool, sort_order: str | None) -> Decision:
    must_save = 1 if at_once else limits.open_files

    def score(partition: PartitionState) -> float:
        if is_closed(partition, limits, now_ms):
            return max(saved_files(partition, limits), partition.delete_files)
        return max(
            saved_files(partition, limits) / max(must_save, 1), partition.delete_files / max(limits.delete_files, 1)
        )

    scores = {partition: score(partition) for partition in table.partitions}
    due = [partition for partition, found in scores.items() if found >= 1]
    highest = max(scores.values(), default=0)
    if not due:
        return Decision(
            Operation.REWRITE_DATA_FILES, highest, f"{table.name}: {_nothing_to_rewrite(table, limits, must_save)}", ()
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
        *_calls(table, open_, _lightly(table, limits, must_save)),
    )
    return Decision(Operation.REWRITE_DATA_FILES, highest, reason, calls)


def _nothing_to_rewrite(table: TableState, limits: Thresholds, must_save: int) -> str:
    small = sum(partition.small_files for partition in table.partitions)
    if not small:
        return "no small files"
    return (
        f"{_many(small, 'small file')} in {_many(len(table.partitions), 'partition')}, but closed partitions have nothing left "
        f"to save, and no open one would save {_many(must_save, 'file')}"
    )


def _fully(limits: Thresholds, sort_order: str | None) -> dict[str, Any]:
    how = {"strategy": "sort", "sort_order": sort_order} if sort_order else {"strategy": "binpack"}
    return {**how, "target_file_size_bytes": limits.target_file_bytes, "min_input_files": 2, "delete_file_threshold": 1}


def _lightly(table: TableState, limits: Thresholds, must_save: int) -> dict[str, Any]:
    return {
        "strategy": "binpack",
        "target_file_size_bytes": limits.target_file_bytes,
        "min_input_files": max(must_save, 2),
        "delete_file_threshold": max(limits.delete_files, 1),
        "max_rewrite_bytes": max(limits.open_rewrite_bytes, 2 * table.inflow_bytes),
    }


def _calls(table: TableState, partitions: list[PartitionState], how: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls for these partitions, none for no partition."""
    if not partitions:
        return []
    keys = [partition.key for partition in partitions if partition.key]
    # Where all are meant, or one is a whole table or cannot be selected by SQL, the procedure finds by itself what is small.
    if len(keys) < len(partitions) or len(partitions) == len(table.partitions):
        return [how]
    return [{**how, "where": condition} for condition in conditions(keys)]


def _manifests(table: TableState, limits: Thresholds, at_once: bool) -> Decision:
    fewest = max(1, math.ceil(table.manifest_bytes / MANIFEST_BYTES))
    too_many = table.manifests - fewest
    score = too_many / (1 if at_once else max(limits.manifests, 1))
    text = f"{_many(table.manifests, 'manifest')} where {fewest} would do (limit {limits.manifests} more)"
    return Decision(Operation.REWRITE_MANIFESTS, score, f"{table.name}: {text}")


def _expire(table: TableState, limits: Thresholds, now_ms: int, last_ms: int | None, at_once: bool) -> Decision:
    older_than_ms = int(now_ms - limits.snapshot_age_s * 1000)
    old = sum(1 for time in table.snapshot_times[int(limits.retain_last) :] if time < older_than_ms)
    kept = f"kept are the last {limits.retain_last} and those of the last {_age(limits.snapshot_age_s)}"
    if not old:
        text = f"none of {_many(len(table.snapshot_times), 'snapshot')} is old enough to expire; {kept}"
        return Decision(Operation.EXPIRE_SNAPSHOTS, 0, f"{table.name}: {text}", ())
    # Before the first expiry that is known of, the age of what could go tells how long it has been waited for.
    waited_s = (now_ms - (last_ms if last_ms is not None else table.snapshot_times[-1])) / 1000
    scores = {
        f"{_many(old, 'snapshot')} may expire (limit {limits.snapshots})": old / max(limits.snapshots, 1),
        f"the metadata has {table.metadata_bytes:,} bytes (limit {limits.metadata_bytes:,})": (
            table.metadata_bytes / max(limits.metadata_bytes, 1)
        ),
        f"it was {_age(waited_s)} ago (every {_age(limits.expire_every_s)})": waited_s / max(limits.expire_every_s, 1),
    }
    worst = max(scores, key=scores.__getitem__)
    reason = f"{table.name}: {_many(old, 'snapshot')} may expire, {'asked for' if at_once else worst}; {kept}"
    call = {"older_than": older_than_ms, "retain_last": int(limits.retain_last)}
    return Decision(Operation.EXPIRE_SNAPSHOTS, max(scores[worst], at_once), reason, (call,))


def _orphans(table: TableState, limits: Thresholds, now_ms: int, last_ms: int | None, at_once: bool) -> Decision:
    waited_s = math.inf if last_ms is None else (now_ms - last_ms) / 1000
    score = max(waited_s / max(limits.orphans_every_s, 1), at_once)
    last = "never" if last_ms is None else f"{_age(waited_s)} ago"
    reason = f"{table.name}: last looked for orphan files {last} (every {_age(limits.orphans_every_s)})"
    return Decision(
        Operation.REMOVE_ORPHAN_FILES, score, reason, ({"older_than": int(now_ms - limits.orphan_age_s * 1000)},)
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _age(seconds: float) -> str:
    """In the unit that fits."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return _many(round(seconds / length), unit)
    return _many(round(seconds), "second")
