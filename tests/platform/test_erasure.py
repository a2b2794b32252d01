"""`make erase` removes a trip from all tables during ingestion, from Gold with the next run; no replay restores it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import duckdb
import pytest

from demo.main_job import MainJob
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.gold.file import published_file

LIMIT_S = 300
REPLAY_LIMIT_S = 900
LOAD = {"events": 100_000, "mode": "realtime", "rate": 200, "seed": 983}
BRONZE, SILVER = "bronze.raw_trips", "silver.cleaned_trips"


@pytest.fixture(scope="module")
def stream(main_job: MainJob, send_trips: Callable[..., None]) -> Iterator[Callable[[], None]]:
    """Send 200 trips per second, after Gold was published once, until the result is called."""
    send_trips(1_000, seed=982)
    main_job.wait(main_job.ledger_at_rest, "earlier trips to arrive", LIMIT_S)
    main_job.build()
    run = main_job.api.trigger("taxi_trip_generator", LOAD)
    before = main_job.ledger().rows(SILVER)
    main_job.wait(lambda: main_job.ledger().rows(SILVER) > before + 1_000, "trips to stream", LIMIT_S)

    def stop() -> None:
        main_job.api.call("PATCH", f"dags/taxi_trip_generator/dagRuns/{quote(run)}", {"state": "failed"})

    yield stop
    stop()


@pytest.fixture(scope="module")
def trips() -> list[dict]:
    """Three trips in Silver."""
    rows = (
        IcebergCatalogHook().table(SILVER).scan(selected_fields=("trip_id", "kafka_partition", "kafka_offset"), limit=3)
    )
    return rows.to_arrow().to_pylist()


def rows_of(table: str, trips: list[dict]) -> int:
    """Number of a table's rows of these trips."""
    events = " or ".join(
        f"kafka_partition = {trip['kafka_partition']} and kafka_offset = {trip['kafka_offset']}" for trip in trips
    )
    return IcebergCatalogHook().table(table).scan(events).count()


def test_a_trip_is_erased_during_ingestion(stream, main_job, shell, trips):
    assert rows_of(BRONZE, trips) == 3
    ids = ", ".join(f"'{trip['trip_id']}'" for trip in trips)
    erased = shell("make", "erase", f"TABLE={SILVER}", f"WHERE=trip_id IN ({ids})", "REASON=ticket 7", "YES=1")
    assert erased.returncode == 0, erased.stderr
    assert f"{SILVER}: 3 rows erased" in erased.stdout
    assert f"{BRONZE}: 3 rows erased" in erased.stdout
    for table in (BRONZE, SILVER):
        assert rows_of(table, trips) == 0
    before = main_job.ledger()
    main_job.wait(
        lambda: main_job.ledger().rows(SILVER) > before.rows(SILVER) + 1_000, "both jobs to continue", LIMIT_S
    )
    stream()
    ledger = main_job.wait(main_job.ledger_at_rest, "the stream to end", LIMIT_S)
    assert (ledger.errors, ledger["bronze"].erased) == ([], 3)


def test_gold_is_built_without_it(main_job, shell, trips):
    main_job.build()
    with duckdb.connect(str(published_file(main_job.pipeline)), read_only=True) as gold:
        ids = [trip["trip_id"] for trip in trips]
        assert gold.execute("SELECT count(*) FROM fct_trips WHERE list_contains(?, trip_id)", [ids]).fetchall() == [
            (0,)
        ]
    for command in ("ledger", "audit"):
        output = shell("make", command, *(["ARGS=--at-rest"] if command == "audit" else []))
        assert output.returncode == 0, output.stdout + output.stderr


def test_a_replay_of_everything_leaves_it_out(main_job, trips):
    run = main_job.api.trigger("replay", {"from_stage": "nyc_taxi.bronze", "dry_run": False})
    main_job.wait(lambda: main_job.api.state("replay", run) in ("success", "failed"), "the replay", REPLAY_LIMIT_S)
    assert main_job.api.state("replay", run) == "success", main_job.api.describe_failure("replay", run)
    for table in (BRONZE, SILVER):
        assert rows_of(table, trips) == 0
    assert main_job.wait(main_job.ledger_at_rest, "rest", LIMIT_S)["bronze"].erased == 3
