"""Windows of event time: exactly the late trips are found, also during an upgrade and after restarts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
import pytest
from airflow.sdk import BaseHook
from confluent_kafka import Producer

from demo.main_job import MainJob
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.quality.ledger import Ledger
from lakehouse.quality.windows import WindowLedger, read_windows

TRIPS, EVERY, LATE_BY = 1_000, timedelta(seconds=30), timedelta(hours=8)
QUARTER = timedelta(minutes=15)
PICKUP = datetime(2024, 1, 31, 12, tzinfo=UTC)  # the window of pickups ends with January; trips may take longer
LIMIT_S = 300
PARTITIONS = 3


class Stream:
    """Sends trips whose drop-offs go on after those of all earlier trips. Each has its own fare, in cents."""

    def __init__(self, job: MainJob) -> None:
        self.job = job
        self.producer = Producer(BaseHook.get_connection("kafka_default").extra_dejson)
        self.now = self._newest_dropoff() + timedelta(hours=2)
        self.sent = int(datetime.now(UTC).timestamp()) % 1_000_000 * 10  # other fares than in earlier tests

    def send(self, dropoffs: list[datetime]) -> list[int]:
        """Send a trip for each drop-off, to one partition after the other; return their fares in cents."""
        fares = []
        for number, dropoff in enumerate(dropoffs):
            self.sent += 1
            fares.append(self.sent)
            trip = {
                "VendorID": 2,
                "tpep_pickup_datetime": f"{PICKUP:%Y-%m-%dT%H:%M:%S}",
                "tpep_dropoff_datetime": f"{dropoff:%Y-%m-%dT%H:%M:%S}",
                "trip_distance": 2.5,
                "PULocationID": 132 if number % 2 else 161,
                "DOLocationID": 161,
                "payment_type": 1,
                "fare_amount": self.sent / 100,
                "total_amount": self.sent / 100,
            }
            self.producer.produce(self.job.topic, json.dumps(trip).encode(), partition=number % PARTITIONS)
        assert self.producer.flush(60) == 0
        return fares

    def go_on(self, trips: int) -> list[datetime]:
        """The drop-offs of the next trips, in order."""
        found = [self.now + EVERY * number for number in range(1, trips + 1)]
        self.now = found[-1]
        return found

    def _newest_dropoff(self) -> datetime:
        rows = IcebergCatalogHook().table("silver.cleaned_trips").scan(selected_fields=("dropoff_datetime",)).to_arrow()
        return (pc.max(rows["dropoff_datetime"]).as_py() or PICKUP.replace(tzinfo=None)).replace(tzinfo=UTC)


@pytest.fixture
def stream(main_job: MainJob) -> Stream:
    main_job.wait(main_job.ledger_at_rest, "earlier trips to arrive", LIMIT_S)
    return Stream(main_job)


@pytest.fixture
def arrived(main_job: MainJob) -> Callable[[Ledger, int], Ledger]:
    """Wait until this number of events more than in an earlier ledger are in their tables; return the ledger."""

    def arrived(before: Ledger, events: int) -> Ledger:
        return main_job.wait(
            lambda: (now := main_job.ledger_at_rest()) and now.events == before.events + events and now,
            "the trips to arrive",
            LIMIT_S,
        )

    return arrived


@pytest.fixture
def live_sql(checkout: Path, main_job: MainJob) -> Iterator[Callable[[str, str], None]]:
    """Change a part of the stage's SQL; it is restored after the test."""
    file = checkout / "include" / "sql" / "nyc_taxi" / "07-live.sql"
    declared = file.read_text()

    def change(place: str, by: str) -> None:
        assert place in declared
        file.write_text(declared.replace(place, by))

    yield change
    file.write_text(declared)
    main_job.at_rest("flink_jobs", LIMIT_S)
    main_job.deploy()


def windows(main_job: MainJob) -> WindowLedger:
    found = read_windows(main_job.pipeline.stages["live"])
    assert found
    assert found.difference == 0
    return found


def late_fares() -> set[int]:
    rows = IcebergCatalogHook().table("live.late_trips").scan(selected_fields=("total_amount",)).to_arrow()
    return {int(amount * 100) for amount in rows["total_amount"].to_pylist()}


def windows_closed_once() -> bool:
    rows = IcebergCatalogHook().table("live.zone_demand").scan().to_arrow()
    keys = rows.group_by(["window_start", "pickup_location_id"]).aggregate([])
    return keys.num_rows == rows.num_rows


def test_five_percent_late_trips_are_found_to_the_row(main_job, stream, arrived):
    before, late_before = main_job.ledger(), late_fares()
    dropoffs = stream.go_on(TRIPS)
    late = {number for number in range(TRIPS) if number % 20 == 10}
    fares = stream.send([dropoff - LATE_BY if number in late else dropoff for number, dropoff in enumerate(dropoffs)])

    now = arrived(before, TRIPS)

    assert late_fares() - late_before == {fares[number] for number in late}
    counts = {role: now["live"].rows[role] - before["live"].rows[role] for role in ("counted", "late")}
    assert counts == {"counted": TRIPS - len(late), "late": len(late)}
    found = main_job.wait(
        lambda: (
            (seen := windows(main_job)).closed_until
            and seen.closed_until.replace(tzinfo=UTC) > stream.now - 3 * QUARTER
            and seen
        ),
        "the windows to close",
        LIMIT_S,
    )
    assert found.open < TRIPS // 10
    assert windows_closed_once()


def test_open_windows_survive_an_upgrade_and_are_closed_once(main_job, stream, arrived, live_sql):
    before, old = main_job.ledger(), FlinkRestHook().live_run("nyc_taxi.live")
    stream.send(stream.go_on(90))
    arrived(before, 90)
    was_open = main_job.wait(lambda: (seen := windows(main_job)).open and seen, "rows in open windows", LIMIT_S)

    live_sql("'Unknown'", "'Nowhere'")
    main_job.deploy()
    assert FlinkRestHook().live_run("nyc_taxi.live").job_id != old.job_id
    stream.send(stream.go_on(300))
    now = arrived(before, 390)

    found = main_job.wait(
        lambda: (seen := windows(main_job)).closed >= was_open.closed + was_open.open and seen,
        "the windows to close that were open",
        LIMIT_S,
    )
    assert found.counted == now["live"].rows["counted"]
    assert windows_closed_once()


def test_after_a_restart_of_both_jobs_a_trip_of_a_closed_window_is_still_late(main_job, stream, arrived):
    """Silver does not know its watermarks again yet, but the windows know what they have closed."""
    before = main_job.ledger()
    closed_until = windows(main_job).closed_until.replace(tzinfo=UTC)
    for job in ("nyc_taxi.silver", "nyc_taxi.live"):
        run = main_job.api.trigger("flink_jobs", {"job": job, "action": "restart"})
        main_job.wait(lambda run=run: main_job.api.state("flink_jobs", run) == "success", f"{job} to restart", LIMIT_S)

    [fare] = stream.send([closed_until - QUARTER / 2])
    now = arrived(before, 1)

    assert fare in late_fares()
    assert now["live"].rows["late"] == before["live"].rows["late"] + 1
    assert windows_closed_once()
