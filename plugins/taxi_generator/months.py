"""The calendar months that trips are of, as Silver's window needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

#: Percent of the pickup times that the months hold: some meters' clocks are years wrong.
NEARLY_ALL = 99
#: Months since 1970 whose beginning, and that of the month after them, a datetime can hold.
_KNOWN = range(-1969 * 12, 8030 * 12 - 1)


def months_of(batches: Iterable[pa.RecordBatch]) -> tuple[datetime, datetime] | None:
    """First moment of the months that hold nearly all pickup times, and the first one after them.

    Of the stretches of months that hold so many it is the shortest; of those as short, the one that holds most.

    :return: None: there is none, because there is no pickup time, or too many are of no year from 1 to 9999
    """
    held = _pickups_by_month(batches)
    wanted = sum(held.values()) * NEARLY_ALL
    months = sorted(month for month in held if month in _KNOWN)
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
    """How many pickup times are of each month, counted from January 1970."""
    import numpy as np

    held: Counter[int] = Counter()
    for batch in batches:
        pickups = batch.column("tpep_pickup_datetime").drop_null().to_numpy(zero_copy_only=False)
        months, trips = np.unique(pickups.astype("datetime64[M]").astype(np.int64), return_counts=True)
        held.update(dict(zip(months.tolist(), trips.tolist(), strict=True)))
    return held


def _beginning(month: int) -> datetime:
    return datetime(1970 + month // 12, month % 12 + 1, 1)
