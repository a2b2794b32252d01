"""Whatever else is sent to the topic ends as a row with its reason and its position, and stops nothing."""

from __future__ import annotations

import json

from airflow.sdk import BaseHook
from confluent_kafka import Producer

from lakehouse.hooks.iceberg import IcebergCatalogHook
from lakehouse.ledger import Ledger
from lakehouse.waiting import wait_until
from local.main_job import MainJob

ARRIVE_LIMIT_S = 90
TRIP = {
    "VendorID": 1,
    "tpep_pickup_datetime": "2024-01-15T10:00:00",
    "tpep_dropoff_datetime": "2024-01-15T10:30:00",
    "trip_distance": 2.5,
    "PULocationID": 132,
    "DOLocationID": 1,
    "fare_amount": 20,
    "total_amount": 25,
}
NO_OBJECT = {
    None: "no value (tombstone)",
    b"": "empty value",
    b"\xff\xfe{}": "not UTF-8",
    b'{"VendorID": 1': "not JSON",
    b"plain text": "not JSON",
    b"[1, 2]": "JSON, but not an object",
    b"42": "JSON, but not an object",
    b"null": "JSON, but not an object",
}
BROKEN_RULES = {
    '{"trip_distance": 1e400}': "trip_distance is negative or not finite",
    '{"trip_distance": -1}': "trip_distance is negative or not finite",
    '{"trip_distance": null}': "trip_distance is missing or not a number",
    '{"fare_amount": 1e400}': "fare_amount does not fit DECIMAL(10,2)",
    '{"fare_amount": -0.01}': "fare_amount is negative",
    '{"fare_amount": "free"}': "fare_amount is missing or not a number",
    '{"total_amount": 100000000}': "total_amount does not fit DECIMAL(10,2)",
    '{"tip_amount": "NaN"}': "tip_amount does not fit DECIMAL(10,2)",
    '{"VendorID": 1.5}': "VendorID is not an integer",
    '{"PULocationID": 99999999999}': "PULocationID is not an integer",
    '{"tpep_pickup_datetime": "2023-11-31T10:00:00"}': "tpep_pickup_datetime is missing or unreadable",
    '{"tpep_pickup_datetime": "2024-01-15T24:30:00"}': "tpep_pickup_datetime is missing or unreadable",
    '{"tpep_pickup_datetime": "2024-01-15T10:60:00"}': "tpep_pickup_datetime is missing or unreadable",
    '{"tpep_pickup_datetime": "2024-02-01T00:00:00"}': "tpep_pickup_datetime is outside the window",
    '{"tpep_pickup_datetime": "2023-12-31T23:59:59"}': "tpep_pickup_datetime is outside the window",
    '{"tpep_dropoff_datetime": "soon"}': "tpep_dropoff_datetime is missing or unreadable",
}


def broken_trip(change: str) -> bytes:
    """A good trip with some fields as the change writes them, which may be numbers that Python would write otherwise."""
    fields = {name: json.dumps(value) for name, value in TRIP.items()}
    name, value = change.strip("{}").split(": ", 1)
    fields[name.strip('"')] = value
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


def _await_arrival(main_job: MainJob, before: Ledger) -> Ledger:
    return wait_until(
        lambda: (now := main_job.ledger()).balanced and now.kafka > before.kafka and now,
        "the events to arrive",
        ARRIVE_LIMIT_S,
        on_timeout=lambda: f"\n{main_job.ledger()}",
    )


def test_each_ends_with_its_reason(main_job):
    before = main_job.ledger()
    producer = Producer(BaseHook.get_connection("kafka_default").extra_dejson)
    for payload in (*NO_OBJECT, *map(broken_trip, BROKEN_RULES)):
        producer.produce(main_job.topic, value=payload, key="132")
    assert producer.flush(20) == 0

    ledger = _await_arrival(main_job, before)

    assert ledger.kafka - before.kafka == len(NO_OBJECT) + len(BROKEN_RULES)
    assert ledger.rejected_events - before.rejected_events == len(NO_OBJECT)
    assert ledger.rejected_trips - before.rejected_trips == len(BROKEN_RULES)
    catalog = IcebergCatalogHook()
    events = catalog.table("bronze.rejected_events").scan().to_arrow().sort_by("kafka_offset").to_pylist()
    assert [(row["payload"], row["reason"]) for row in events] == list(NO_OBJECT.items())
    after = f"kafka_partition = {events[-1]['kafka_partition']} AND kafka_offset > {events[-1]['kafka_offset']}"
    trips = catalog.table("silver.rejected_trips").scan(after).to_arrow().sort_by("kafka_offset")
    assert trips["reason"].to_pylist() == list(BROKEN_RULES.values())


def test_a_timestamp_may_be_written_otherwise(main_job):
    """With a blank for the T, with fractions of seconds, or as a date alone."""
    before = main_job.ledger()
    producer = Producer(BaseHook.get_connection("kafka_default").extra_dejson)
    for written in ("2024-01-15", "2024-01-15 10:02:00.5", "2024-01-15T10:03:00"):
        producer.produce(main_job.topic, value=broken_trip(f'{{"tpep_pickup_datetime": "{written}"}}'), key="132")
    assert producer.flush(20) == 0

    ledger = _await_arrival(main_job, before)

    assert ledger.silver - before.silver == 3


def test_good_trips_go_on(trips_arrive):
    trips_arrive(seed=401)
