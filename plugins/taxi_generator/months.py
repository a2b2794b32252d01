"""Finds the calendar months of trips, for Silver's window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

#: Percent of the pickup times that are in the months: some meters' clocks are wrong by years.
NEARLY_ALL = 99
#: Months since 1970 for which a datetime can represent their start and the start of the next month.
_VALID = range(-1969 * 12, 8030 * 12 - 1)


def months_of(batches: Iterable[pa.RecordBatch]) -> tuple[datetime, datetime] | None:
    """Start and exclusive end of the months with nearly all pickup times.

    The result is the shortest sequence of months with that many; of equally short ones, the one with the most.

    :return: None if there is none, because there are no pickup times, or too many outside the years 1 to 9999
    """
    held = _pickups_by_month(batches)
    wanted = sum(held.values()) * NEARLY_ALL
    months = sorted(month for month in held if month in _VALID)
    found: list[tuple[int, int, int]] = []
    end = within = 0
    for month in months:
        while end < len(months) and within * 100 < wanted:
            within += held[months[end]]
            end += 1
        if within * 100 >= wanted:
            found.append((months[end - 1] + 1 - month, -within, month))
        within -= held[month]
    if not found:
        return None
    length, _, first = min(found)
    return _beginning(first), _beginning(first + length)


def _pickups_by_month(batches: Iterable[pa.RecordBatch]) -> Counter[int]:
    """Month since January 1970 -> number of pickup times."""
    import numpy as np

    held: Counter[int] = Counter()
    for batch in batches:
        pickups = batch.column("tpep_pickup_datetime").drop_null().to_numpy(zero_copy_only=False)
        months, trips = np.unique(pickups.astype("datetime64[M]").astype(np.int64), return_counts=True)
        held.update(dict(zip(months.tolist(), trips.tolist(), strict=True)))
    return held


def _beginning(month: int) -> datetime:
    return datetime(1970 + month // 12, month % 12 + 1, 1)
