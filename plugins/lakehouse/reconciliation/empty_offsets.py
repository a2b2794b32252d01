"""Offsets without an event: transaction markers, aborted events, events removed by compaction. Found by reading Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.airflow.hooks.topic_reader import TopicReader
from lakehouse.reconciliation.positions import Positions
from lakehouse.reconciliation.state import State

#: Younger events are probably in flight.
CHECKED_AFTER_S = 30
#: A longer range at the end of a partition is the backlog of a job that is behind, and is not checked.
MAX_AT_THE_END = 20_000
#: Maximum number of offsets to check at once; the next reconciliation continues.
MAX_CHECKED = 200_000


def empty_offsets(topic: TopicHook, state: State) -> Positions:
    """The missing positions at which Kafka has no event, as far as Kafka still retains them.

    Only positions that later rows have overtaken are checked, and short ranges at the end of a partition.
    """
    if not state.missing:
        return Positions()
    old = state.missing.below(topic.offsets_at(int((time.time() - CHECKED_AFTER_S) * 1000))) - Positions.ranges(
        {}, state.oldest
    )
    ranges = list(_ranges(state, old))
    if not ranges:
        return Positions()
    reader, found = TopicReader(topic.topic), Positions()
    try:
        for partition, start, end in ranges:
            events = [offset for batch in reader.batches(partition, start, end) for offset, _ in batch]
            found |= Positions.ranges({partition: start}, {partition: end}) - Positions.of_offsets(partition, events)
    finally:
        reader.close()
    return found


def _ranges(state: State, old: Positions) -> Iterator[tuple[int, int, int]]:
    """Partition, first offset, and offset after the last one, of each range to check."""
    budget = MAX_CHECKED
    for partition, start, end in old.spans():
        overtaken = end <= state.reached.get(partition, 0)
        if budget and (overtaken or end - start <= MAX_AT_THE_END):
            until = min(end, start + budget)
            budget -= until - start
            yield partition, start, until
