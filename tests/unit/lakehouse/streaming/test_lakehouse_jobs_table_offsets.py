"""Where a job that reads Kafka continues if only its table is left."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.streaming.table_offsets import next_offsets, startup_options

TRIPS, REJECTS = "bronze.raw_trips", "bronze.rejected_events"
SOURCES = {"trip_events": TRIPS, "trip_payloads": REJECTS}


@pytest.fixture
def topic(send, monkeypatch):
    """A topic of three partitions with simulated first offsets, because the tests' broker deletes no events."""
    hook = TopicHook("trips")

    def topic(**first: int) -> TopicHook:
        monkeypatch.setattr(hook, "start_offsets", lambda: {int(name[1:]): offset for name, offset in first.items()})
        return hook

    return topic


@pytest.fixture
def rows(iceberg):
    """Append rows with these positions, pairs of partition and offset."""

    def rows(*positions: tuple[int, int], table: str = TRIPS) -> None:
        iceberg.create_namespace_if_not_exists("bronze")
        schema = pa.schema([("kafka_partition", pa.int32()), ("kafka_offset", pa.int64())])
        columns = [list(column) for column in zip(*positions, strict=True)] or [[], []]
        iceberg.create_table_if_not_exists(table, schema).append(pa.table(columns, schema=schema))

    return rows


def test_each_partition_continues_after_its_last_row(topic, rows):
    rows((0, 3), (2, 9), (0, 4))
    rows((0, 2), (2, 7))
    rows((1, 8), table=REJECTS)
    assert next_offsets(topic(p0=0, p1=0, p2=0), SOURCES) == {
        "trip_events": {0: 5, 1: 0, 2: 10},
        "trip_payloads": {0: 0, 1: 9, 2: 0},
    }


def test_a_partition_without_rows_starts_at_its_oldest_event(topic, rows):
    rows((0, 3))
    rows(table=REJECTS)
    started = {0: 4, 1: 70, 2: 0}
    assert next_offsets(topic(p0=4, p1=70, p2=0), SOURCES) == {"trip_events": started, "trip_payloads": started}


def test_the_last_rejected_row_may_be_older_than_kafkas_first_event(topic, rows):
    rows((0, 0), (0, 2), (0, 3), (0, 4), (0, 5))
    rows((0, 1), table=REJECTS)
    assert next_offsets(topic(p0=4), SOURCES) == {"trip_events": {0: 6}, "trip_payloads": {0: 4}}
    assert next_offsets(topic(p0=7), SOURCES) == {"trip_events": {0: 7}, "trip_payloads": {0: 7}}


def test_first_offsets_come_from_the_broker(send, rows):
    send("trips", 5)
    rows((0, 1_000))
    partitions = TopicHook("trips").end_offsets()
    found = next_offsets(TopicHook("trips"), {"trip_events": TRIPS})
    assert found == {"trip_events": {**dict.fromkeys(partitions, 0), 0: 1_001}}


def test_the_offsets_are_in_the_format_of_flinks_connector():
    assert startup_options({1: 70, 0: 4}) == {
        "scan.startup.mode": "specific-offsets",
        "scan.startup.specific-offsets": "partition:0,offset:4;partition:1,offset:70",
    }
