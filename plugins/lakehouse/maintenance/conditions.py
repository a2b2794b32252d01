"""Partitions as Flink SQL conditions of limited length, however many partitions there are.

Flink's planner processes ORs, and the values of an IN, recursively: fewer than a thousand of them overflow its stack.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

from lakehouse.texts import sql_literal

Value = int | date | str | None
#: Columns with their values; empty for an unpartitioned table.
Partition = tuple[tuple[str, Value], ...]

#: Maximum number of ranges in one condition.
MAX_RANGES = 100


def conditions(partitions: Iterable[Partition]) -> list[str]:
    """Conditions that together select exactly these partitions.

    :param partitions: each has one or more columns
    """
    ranges = list(_ranges(partitions))
    return [
        " OR ".join(f"({part})" for part in ranges[begin : begin + MAX_RANGES])
        for begin in range(0, len(ranges), MAX_RANGES)
    ]


def _ranges(partitions: Iterable[Partition]) -> Iterator[str]:
    """One condition for each group of partitions that differ only in the last column and are consecutive there."""
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
    """First and last value of each run of consecutive values."""
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
