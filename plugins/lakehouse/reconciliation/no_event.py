"""Offsets that hold no event: markers of transactions, what was aborted, what a compaction removed. Kafka itself is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.airflow.hooks.topic_reader import TopicReader
from lakehouse.reconciliation.positions import Positions
from lakehouse.reconciliation.state import State

#: Younger ones are on their way.
ASKED_AFTER_S = 30
#: So many at the end of a partition may wait for a job that is behind: they are not asked about.
LAST_OFFSETS = 20_000
#: Offsets that one look asks Kafka about, at most; the next look goes on.
ASKED_AT_ONCE = 200_000


def without_event(topic: TopicHook, state: State) -> Positions:
    """Those of the missing positions at which Kafka holds no event, as far as it can still say.

    Asked are those that later rows have overtaken, and a few at the end of a partition.
    """
    if not state.missing:
        return Positions()
    old = state.missing.below(topic.offsets_at(int((time.time() - ASKED_AFTER_S) * 1000))) - Positions.ranges(
        {}, state.oldest
    )
    asked = list(_asked(state, old))
    if not asked:
        return Positions()
    reader, found = TopicReader(topic.topic), Positions()
    try:
        for partition, start, end in asked:
            events = [offset for batch in reader.batches(partition, start, end) for offset, _ in batch]
            found |= Positions.ranges({partition: start}, {partition: end}) - Positions.of_offsets(partition, events)
    finally:
        reader.close()
    return found


def _asked(state: State, old: Positions) -> Iterator[tuple[int, int, int]]:
    """Partition, first offset and offset after the last one, of each range that Kafka is asked about."""
    budget = ASKED_AT_ONCE
    for partition, start, end in old.spans():
        overtaken = end <= state.reached.get(partition, 0)
        if budget and (overtaken or end - start <= LAST_OFFSETS):
            until = min(end, start + budget)
            budget -= until - start
            yield partition, start, until
