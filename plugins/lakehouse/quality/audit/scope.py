"""The scope of an audit: a range of offsets in each partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.kafka import TopicHook


@dataclass(frozen=True)
class Scope:
    """The events to audit.

    :param ranges: partition -> first offset and offset after the last one, when the audit starts
    :param retained: partition -> oldest offset that Kafka retains
    :param whole: no bound was given, so a row that belongs to no event is a finding too
    """

    ranges: Mapping[int, tuple[int, int]]
    retained: Mapping[int, int]
    whole: bool

    def events(self, partition: int) -> tuple[int, int]:
        """The range of offsets that can be read from Kafka."""
        first, end = self.ranges[partition]
        return min(max(first, self.retained[partition]), end), end

    @property
    def predicate(self) -> str:
        """SQL condition: whether a row is in scope."""
        if self.whole:
            return "true"
        return _any(
            f"kafka_partition = {partition} AND kafka_offset >= {first} AND kafka_offset < {end}"
            for partition, (first, end) in self.ranges.items()
        )

    @property
    def expired(self) -> str:
        """SQL condition: whether Kafka has deleted the row's event."""
        return _any(
            f"kafka_partition = {partition} AND kafka_offset < {first}"
            for partition, first in self.retained.items()
            if first
        )


def read_scope(
    topic: TopicHook,
    partition: int | None = None,
    first_offset: int | None = None,
    last_offset: int | None = None,
    since_ms: int | None = None,
) -> Scope:
    """Determine the scope: all events that the topic ever had, or those of one partition, of some offsets, since a time.

    :raises AirflowException: the topic has no such partition
    """
    ends = topic.end_offsets()
    if partition is not None and partition not in ends:
        raise AirflowException(f"Topic {topic.topic} has no partition {partition}. Next: choose one of {sorted(ends)}")
    starts = topic.offsets_at(since_ms) if since_ms is not None else dict.fromkeys(ends, 0)
    ranges = {
        number: (max(starts[number], first_offset or 0), min(end, end if last_offset is None else last_offset + 1))
        for number, end in sorted(ends.items())
        if partition in (None, number)
    }
    whole = (partition, first_offset, last_offset, since_ms) == (None, None, None, None)
    return Scope(
        {number: (min(first, end), end) for number, (first, end) in ranges.items()}, topic.start_offsets(), whole
    )


def _any(conditions: Iterable[str]) -> str:
    return " OR ".join(f"({condition})" for condition in conditions) or "false"
