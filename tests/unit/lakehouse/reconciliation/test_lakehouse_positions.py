"""Sets of positions, as text and as JSON."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from lakehouse.reconciliation.positions import Positions, Rows


def positions(**offsets: list[int]) -> Positions:
    """`p0=[1, 2]`: offsets by partition."""
    found = Positions()
    for partition, values in offsets.items():
        found |= Positions.of_offsets(int(partition[1:]), values)
    return found


def test_sets():
    left, right = positions(p0=[1, 2, 3], p1=[7]), positions(p0=[2], p1=[7], p2=[0])
    assert left - right == positions(p0=[1, 3])
    assert left | right == positions(p0=[1, 2, 3], p1=[7], p2=[0])
    assert left & right == positions(p0=[2], p1=[7])
    assert len(left) == 4
    assert (bool(left), bool(left - left)) == (True, False)
    assert (left.firsts, left.ends, left.counts) == ({0: 1, 1: 7}, {0: 4, 1: 8}, {0: 3, 1: 1})


def test_ranges_may_be_large():
    assert Positions.ranges({0: 5, 1: 9}, {0: 8, 1: 9, 2: 1}) == positions(p0=[5, 6, 7], p2=[0])
    assert positions(p0=[1, 5, 9], p1=[3]).below({0: 9}) == positions(p0=[1, 5])


def test_spans_of_any_length():
    assert list(positions(p0=[0, 1, 2, 9], p3=[4]).spans()) == [(0, 0, 3), (0, 9, 10), (3, 4, 5)]
    long = Positions.ranges({0: 3}, {0: 100_000_000}) - positions(p0=[70_000])
    assert list(long.spans()) == [(0, 3, 70_000), (0, 70_001, 100_000_000)]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (positions(), ""),
        (positions(p0=[5]), "partition 0: offsets 5"),
        (positions(p0=[5, 6, 7, 1_200], p2=[1]), "partition 0: offsets 5 to 7, 1,200; partition 2: offsets 1"),
        (positions(p0=[1, 3, 5, 7]), "partition 0: offsets 1, 3, 5; ..."),
    ],
)
def test_text_shows_the_first_ranges(found, text):
    assert str(found) == text


def test_a_long_range_needs_little_memory():
    found = Positions.ranges({}, {0: 50_000_000, 1: 50_000_000}) - positions(p0=[17])
    text = json.dumps(found.to_json())
    assert len(text) < 100_000
    assert Positions.from_json(json.loads(text)) == found


def test_repeated_positions_are_reported():
    batch = pa.record_batch(
        {"kafka_partition": pa.array([1, 0, 1, 1], pa.int32()), "kafka_offset": pa.array([4, 4, 4, 5], pa.int64())}
    )
    assert Rows.of(batch) == Rows(positions(p0=[4], p1=[4, 5]), positions(p1=[4]), {0: 1, 1: 3})
