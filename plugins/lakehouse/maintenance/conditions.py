"""Partitions as conditions of Flink SQL, each short however many the partitions are.

Flink's planner follows the ORs of a condition, and the values of an IN, by recursion: its stack ends before a thousand of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

from lakehouse.texts import sql_literal

Value = int | date | str | None
#: Its columns with their values; empty where it is a whole table without partitions.
Partition = tuple[tuple[str, Value], ...]

#: Ranges in one condition.
MOST = 100


def conditions(partitions: Iterable[Partition]) -> list[str]:
    """Conditions that together select just these partitions.

    :param partitions: of one or more columns each
    """
    ranges = list(_ranges(partitions))
    return [" OR ".join(f"({part})" for part in ranges[begin : begin + MOST]) for begin in range(0, len(ranges), MOST)]


def _ranges(partitions: Iterable[Partition]) -> Iterator[str]:
    """Partitions that differ in the last column alone, and follow each other there, as one condition."""
    values: dict[tuple[Partition, str], set[Value]] = defaultdict(set)
    for partition in partitions:
        column, value = partition[-1]
        values[partition[:-1], column].add(value)
    for (before, column), found in sorted(values.items(), key=str):
        fixed = [_equal(name, value) for name, value in before]
        if None in found:
            yield " AND ".join([*fixed, _equal(column, None)])
        for first, last in _runs(sorted(value for value in found if value is not None)):
            yield " AND ".join([*fixed, _between(column, first, last)])


def _runs(values: Sequence[Value]) -> Iterator[tuple[Value, Value]]:
    """The first and last of each run of values without a gap."""
    begins = [after for before, after in pairwise([None, *values]) if before is None or after != _next(before)]
    ends = [before for before, after in pairwise([*values, None]) if after is None or after != _next(before)]
    yield from zip(begins, ends, strict=True)


def _next(value: Value) -> Value:
    match value:
        case int():
            return value + 1
        case date():
            return value + timedelta(1) if value < date.max else None
    return None


def _between(column: str, first: Value, last: Value) -> str:
    return _equal(column, first) if first == last else f"{_name(column)} BETWEEN {_literal(first)} AND {_literal(last)}"


def _equal(column: str, value: Value) -> str:
    return f"{_name(column)} IS NULL" if value is None else f"{_name(column)} = {_literal(value)}"


def _name(column: str) -> str:
    escaped = column.replace("`", "``")
    return f"`{escaped}`"


def _literal(value: Value) -> str:
    match value:
        case date():
            return f"DATE '{value}'"
        case str():
            return sql_literal(value)
    return str(value)
