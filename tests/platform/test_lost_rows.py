"""Deleted rows are reported while thousands of others arrive, and Gold is not published meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from pyiceberg.exceptions import CommitFailedException

from demo.main_job import MainJob
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.gold.file import published_file
from lakehouse.waiting import wait_until

LIMIT_S = 300
#: `platform_alerts` runs every minute: the second run reports it.
TWO_LOOKS_S = 180
LOAD = {"events": 300_000, "mode": "realtime", "rate": 500, "seed": 997}


@pytest.fixture(scope="module")
def stream(main_job: MainJob, send_trips: Callable[..., None]) -> Iterator[None]:
    """Send 500 trips per second, after Gold was published once."""
    send_trips(1_000, seed=996)
    before = main_job.wait(main_job.ledger_at_rest, "earlier trips to arrive", LIMIT_S)
    main_job.build()
    run = main_job.api.trigger("taxi_trip_generator", LOAD)
    main_job.wait(
        lambda: main_job.ledger().rows("silver.cleaned_trips") > before.rows("silver.cleaned_trips") + 6_000,
        "thousands of trips to arrive",
        LIMIT_S,
    )
    yield
    main_job.api.call("PATCH", f"dags/taxi_trip_generator/dagRuns/{quote(run)}", {"state": "failed"})


def delete(table: str, partition: int, rows: int) -> int:
    """Delete early rows with an engine other than Flink; return the first offset."""
    held = IcebergCatalogHook().table(table).scan(f"kafka_partition = {partition}", selected_fields=("kafka_offset",))
    offsets = sorted(held.to_arrow()["kafka_offset"].to_pylist())[:rows]

    def deleted() -> bool:
        try:
            found = IcebergCatalogHook().table(table)
            found.delete(f"kafka_partition = {partition} and kafka_offset <= {offsets[-1]}")
        except CommitFailedException:  # Flink was faster
            return False
        return True

    wait_until(deleted, f"{table} to lose rows", LIMIT_S)
    return offsets[0]


@pytest.mark.parametrize(("stage", "table"), [("silver", "silver.cleaned_trips"), ("bronze", "bronze.raw_trips")])
def test_they_are_reported_with_their_offsets(stream, main_job, receiver, shell, stage, table):
    gold = published_file(main_job.pipeline)
    held = gold.stat().st_ino
    first = delete(table, partition=1, rows=4_000)
    message = receiver.await_message("rows-missing", f"nyc_taxi.{stage}", limit_s=TWO_LOOKS_S)
    assert f"partition 1: offsets {first:,}" in message["message"]
    run = main_job.api.trigger("nyc_taxi_pipeline", {})
    main_job.wait(
        lambda: main_job.api.state("nyc_taxi_pipeline", run) in ("success", "failed"), "the pipeline", LIMIT_S
    )
    assert gold.stat().st_ino == held
    health = shell("python", "-m", "lakehouse", "health")
    assert health.returncode == 1
    assert f"are in none of {table}" in health.stdout
    rows = main_job.ledger().events
    main_job.wait(lambda: main_job.ledger().events > rows, "the stream to continue", LIMIT_S)
