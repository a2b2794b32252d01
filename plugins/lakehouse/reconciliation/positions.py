"""Sets of positions in a topic: offsets by Kafka partition, as Roaring bitmaps, which store a long range in a few bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainSerializer, PlainValidator
from pyroaring import BitMap64

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_RANGES = 3


class Positions:
    """An immutable set of positions."""

    def __init__(self, offsets: Mapping[int, BitMap64] | None = None) -> None:
        self._offsets = {partition: found for partition, found in sorted((offsets or {}).items()) if found}

    @classmethod
    def ranges(cls, starts: Mapping[int, int], ends: Mapping[int, int]) -> Positions:
        """For each partition of `ends`, the offsets from its start (default 0) up to, but not including, its end."""
        return cls({partition: _range(starts.get(partition, 0), end) for partition, end in ends.items()})

    @classmethod
    def of_offsets(cls, partition: int, offsets: Iterable[int]) -> Positions:
        """Offsets of one partition."""
        return cls({partition: BitMap64(offsets)})

    def below(self, ends: Mapping[int, int]) -> Positions:
        """The positions below the end of their partition; none of a partition without an end."""
        return self & Positions.ranges({}, ends)

    @property
    def counts(self) -> dict[int, int]:
        """Partition -> number of offsets."""
        return {partition: len(found) for partition, found in self._offsets.items()}

    @property
    def firsts(self) -> dict[int, int]:
        """Partition -> lowest offset."""
        return {partition: found.min() for partition, found in self._offsets.items()}

    @property
    def ends(self) -> dict[int, int]:
        """Partition -> offset after the highest one."""
        return {partition: found.max() + 1 for partition, found in self._offsets.items()}

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """Partition, first offset, and offset after the last one, of each contiguous range, in order."""
        for partition, found in self._offsets.items():
            end, last = 0, found.max()
            while end <= last:
                start = found.next_set_bit(end)
                end = _first_missing(found, start)
                yield partition, start, end

    def __len__(self) -> int:
        return sum(map(len, self._offsets.values()))

    def __or__(self, other: Positions) -> Positions:
        both = self._offsets.keys() | other._offsets.keys()
        return Positions({partition: self._of(partition) | other._of(partition) for partition in both})

    def __and__(self, other: Positions) -> Positions:
        both = self._offsets.keys() & other._offsets.keys()
        return Positions({partition: self._of(partition) & other._of(partition) for partition in both})

    def __sub__(self, other: Positions) -> Positions:
        return Positions({partition: found - other._of(partition) for partition, found in self._offsets.items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Positions) and self._offsets == other._offsets

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Positions({self})"

    def __str__(self) -> str:
        """The first ranges for people: `partition 0: offsets 5 to 9, 12; partition 2: offsets 7`."""
        shown: dict[int, list[str]] = {}
        spans = self.spans()
        for partition, start, end in islice(spans, SHOWN_RANGES):
            shown.setdefault(partition, []).append(f"{start:,}" if end == start + 1 else f"{start:,} to {end - 1:,}")
        parts = [f"partition {partition}: offsets {', '.join(ranges)}" for partition, ranges in shown.items()]
        return "; ".join([*parts, *(["..."] if next(spans, None) else [])])

    def to_json(self) -> dict[str, str]:
        """Partition -> bitmap in base64."""
        return {str(p): base64.b64encode(_compact(found).serialize()).decode() for p, found in self._offsets.items()}

    @classmethod
    def from_json(cls, value: Any) -> Positions:
        """Inverse of `to_json`; a `Positions` object is returned as it is."""
        if isinstance(value, Positions):
            return value
        return cls({int(partition): BitMap64.deserialize(base64.b64decode(text)) for partition, text in value.items()})

    def _of(self, partition: int) -> BitMap64:
        return self._offsets.get(partition, _NOTHING)


@dataclass(frozen=True)
class Rows:
    """Positions of some rows of a table.

    :param repeated: positions that occur more than once
    :param counts: Kafka partition -> number of rows
    """

    positions: Positions
    repeated: Positions
    counts: dict[int, int]

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> Rows:
        """The rows of a batch with columns `kafka_partition` and `kafka_offset`."""
        import numpy as np

        partitions, offsets = (batch.column(name).to_numpy(zero_copy_only=False) for name in batch.schema.names)
        found, repeated, counts = {}, {}, {}
        for partition in np.unique(partitions).tolist():
            rows = offsets[partitions == partition].astype(np.uint64)
            found[partition] = BitMap64(rows)
            counts[partition] = len(rows)
            if len(found[partition]) != len(rows):
                values, times = np.unique(rows, return_counts=True)
                repeated[partition] = BitMap64(values[times > 1])
        return cls(Positions(found), Positions(repeated), counts)


_NOTHING = BitMap64()

#: Positions as a field of a pydantic model.
PositionsField = Annotated[Positions, PlainValidator(Positions.from_json), PlainSerializer(Positions.to_json)]


def _range(start: int, end: int) -> BitMap64:
    found = BitMap64()
    if start < end:
        found.add_range(start, end)
    return found


def _first_missing(found: BitMap64, start: int) -> int:
    """The first offset after `start` that is not in the bitmap, which contains `start`."""
    low, high = start + 1, found.max() + 1
    while low < high:
        middle = (low + high) // 2
        if found.range_cardinality(start, middle + 1) == middle + 1 - start:
            low = middle + 1
        else:
            high = middle
    return low


def _compact(found: BitMap64) -> BitMap64:
    found.run_optimize()
    return found
