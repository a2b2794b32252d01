"""A replay stores its events on disk: one batch is in memory at a time, and due events are returned unchanged."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.quality.rejects import spool as spooling
from lakehouse.quality.rejects.spool import Fix, Spool

EVENTS = [Fix(f"{n % 3}:{n}", None if n % 5 == 0 else b"k", None if n % 7 == 0 else b"\xff" * n) for n in range(50)]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "BATCH", 8)


@pytest.fixture
def spool() -> Iterator[Spool]:
    with Spool() as spool:
        yield spool


def positions(events: list[Fix], rows: int = 3) -> Iterator[pa.RecordBatch]:
    """Positions in batches, as read from the tables."""
    for start in range(0, len(events), rows):
        column = pa.array([event.position for event in events[start : start + rows]], pa.large_string())
        yield pa.RecordBatch.from_arrays([column], ["any name"])


def test_only_one_batch_is_in_memory(spool):
    alive: weakref.WeakSet[Fix] = weakref.WeakSet()
    most = 0

    def noted(events: Iterator[Fix]) -> Iterator[Fix]:
        nonlocal most
        for event in events:
            alive.add(event)
            most = max(most, len(alive))
            yield event
            del event

    spool.add(noted(Fix(f"0:{n}", None, b"x") for n in range(100)))
    assert most <= spooling.BATCH + 1

    most = 0
    assert spool.select_due(iter(())) == 100
    assert sum(1 for _ in noted(spool.due())) == 100
    assert most <= 2


def test_due_events_are_returned_unchanged_in_order(spool):
    spool.add(EVENTS[:13])
    spool.add(EVENTS[13:])
    fixed = EVENTS[5:30:2]
    assert spool.select_due(positions([*fixed, Fix("9:9", None, None)])) == len(EVENTS) - len(fixed)
    assert [*spool.due()] == [event for event in EVENTS if event not in fixed]
    assert len(spool) == len(EVENTS)


def test_repeated_positions_are_found_at_any_distance(spool):
    spool.add(EVENTS)
    assert spool.repeated() is None
    spool.add([EVENTS[2]])
    assert spool.repeated() == EVENTS[2].position


def test_the_first_positions_that_were_not_rejected(spool):
    spool.add(EVENTS)
    assert spool.not_among(positions(EVENTS), 5) == []
    unknown = sorted(event.position for event in EVENTS[40:])
    assert spool.not_among(positions(EVENTS[:40]), 5) == unknown[:5]


def test_the_file_is_deleted():
    with Spool() as spool:
        folder = Path(spool._folder.name)
        spool.add(EVENTS)
        assert folder.exists()
    assert not folder.exists()
