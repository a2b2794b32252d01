"""Any message in the topic ends in one table, with its reason and position, and stops no job."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from airflow.sdk import BaseHook
from confluent_kafka import KafkaError, Producer

from demo.main_job import MainJob
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.waiting import wait_until
from tests.corpus.events import BRONZE, NO_EVENT, REFUSED_BY_BROKER, SENT, TABLES, TRIP, Event, good

ARRIVE_LIMIT_S = 120
JOBS = ("nyc_taxi.bronze", "nyc_taxi.silver", "nyc_taxi.live")
PARTITION = 0


def send(topic: str, events: list[Event]) -> list[int]:
    """Send events to one partition in order; return their offsets."""
    producer = Producer(BaseHook.get_connection("kafka_default").extra_dejson)
    offsets: list[int] = []
    for event in events:
        producer.produce(
            topic, event.value, event.key, PARTITION, timestamp=event.timestamp_ms, headers=list(event.headers),
            on_delivery=lambda error, message: offsets.append(error or message.offset()),
        )  # fmt: skip
    assert producer.flush(60) == 0
    assert len(offsets) == len(events)
    return offsets


def rows(offsets: list[int]) -> dict[str, dict[int, list[Mapping[str, Any]]]]:
    """Table -> offset -> rows of these events."""
    mine = f"kafka_partition = {PARTITION} AND kafka_offset >= {offsets[0]} AND kafka_offset <= {offsets[-1]}"
    found = {name: {offset: [] for offset in offsets} for name in (BRONZE, *TABLES)}
    for name, by_offset in found.items():
        for row in IcebergCatalogHook().table(name).scan(mine).to_arrow().to_pylist():
            by_offset[row["kafka_offset"]].append(row)
    return found


class Sent:
    """The result of sending the whole corpus at once, with valid trips before, between and after."""

    def __init__(self, main_job: MainJob) -> None:
        flink = FlinkRestHook()
        before = {job: flink.live_run(job).job_id for job in JOBS}
        events = [good("around it")]
        for event in SENT:
            events += [event, good("around it")]
        offsets = send(main_job.topic, events)
        self.ledger = wait_until(
            lambda: (now := main_job.ledger()).balanced and now,
            "the corpus to arrive",
            ARRIVE_LIMIT_S,
            on_timeout=lambda: f"\n{main_job.ledger()}\n{[flink.exceptions(job_id) for job_id in before.values()]}",
        )
        self.jobs = {job: (job_id, flink.live_run(job).job_id) for job, job_id in before.items()}
        self.failures = {job: flink.exceptions(job_id) for job, job_id in before.items()}
        self.rows = rows(offsets)
        self.offsets = {event.name: offset for event, offset in zip(events, offsets, strict=True)}
        self.around = [offset for event, offset in zip(events, offsets, strict=True) if event.name == "around it"]

    def where(self, offset: int) -> dict[str, list[str | None]]:
        """Table -> reasons of the event's rows; only tables where an event can end."""
        held = {name: self.rows[name][offset] for name in TABLES}
        return {name: [row.get("reason") for row in found] for name, found in held.items() if found}


@pytest.fixture(scope="module")
def sent(main_job: MainJob) -> Sent:
    return Sent(main_job)


@pytest.mark.parametrize("event", SENT, ids=lambda event: event.name)
def test_each_ends_in_one_place(sent, event):
    offset = sent.offsets[event.name]
    assert sent.where(offset) == {event.ends: [event.reason]}
    [row] = sent.rows[event.ends][offset]
    assert {name: row[name] for name in event.holds} == event.holds
    if event.ends == NO_EVENT:
        assert row["payload"] == event.value
    assert len(sent.rows[BRONZE][offset]) == (event.ends != NO_EVENT)


def test_valid_trips_around_them_arrive(sent):
    assert all(after - before == 2 for before, after in pairwise(sent.around))
    assert [offset for offset in sent.around if sent.where(offset) != {TRIP: [None]}] == []


def test_no_job_restarts(sent):
    assert sent.failures == {job: [] for job in JOBS}
    assert all(before == after for before, after in sent.jobs.values())


@pytest.mark.parametrize("event", REFUSED_BY_BROKER, ids=lambda event: event.name)
def test_an_event_refused_by_the_broker_is_an_error_of_the_producer(sent, main_job, event):
    config = BaseHook.get_connection("kafka_default").extra_dejson
    producer = Producer({**config, "message.max.bytes": 20_000_000})
    errors: list[KafkaError | None] = []
    producer.produce(
        main_job.topic, event.value, timestamp=event.timestamp_ms, on_delivery=lambda error, _: errors.append(error)
    )
    assert producer.flush(60) == 0
    assert event.reason in errors[0].str()
    assert main_job.ledger().events == sent.ledger.events


def test_later_trips_arrive(sent, trips_arrive):
    trips_arrive(seed=401)
