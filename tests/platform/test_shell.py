"""`airflow dags test` as a person types it: beside a live scheduler, with the data plane alone, and with nothing running."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from demo.main_job import PIPELINE, Trips
from local import probes
from local.config import Platform
from local.supervision import Supervisor

DAGS = ("flink_jobs", "taxi_trip_generator", "nyc_taxi_pipeline", "audit", "iceberg_maintenance")
NOTHING = dict.fromkeys(("FLINK_REST_PORT", "FLINK_GATEWAY_PORT", "POSTGRES_PORT"), "1") | {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1",
}


@pytest.fixture
def dags_test(shell) -> Callable[..., tuple[int, str]]:
    """Run `airflow dags test` of a DAG; its exit status, and all that it printed."""

    def run(dag_id: str, *more: str, **changed: str) -> tuple[int, str]:
        run = shell("airflow", "dags", "test", dag_id, *more, **changed)
        return run.returncode, run.stdout + run.stderr

    return run


@pytest.fixture
def airflow_stopped(platform: Platform, verb: Callable[..., str]) -> Iterator[None]:
    """The data plane alone; Airflow comes back afterwards."""
    supervisor = Supervisor(platform)
    for name in supervisor.info():
        if name.startswith("airflow-"):
            supervisor.call("stopProcess", name)
    yield
    verb("up")


def runs_known_to_airflow(platform: Platform) -> int:
    url = probes.postgres_url(platform.port("POSTGRES_PORT"), "airflow", platform.values["POSTGRES_AIRFLOW_PASSWORD"])
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM dag_run WHERE run_type = 'manual'").fetchone()[0]


@pytest.mark.parametrize("dag_id", DAGS)
def test_beside_a_live_scheduler(platform, main_job, dags_test, dag_id):
    """With the DAG unpaused and its schedule going on: the test runs in a database of its own."""
    before = runs_known_to_airflow(platform)

    status, printed = dags_test(dag_id, *(["--conf", '{"events": 500, "seed": 601}'] if "generator" in dag_id else []))

    assert status == 0, printed[-3000:]
    assert runs_known_to_airflow(platform) == before
    main_job.wait(lambda: main_job.ledger().balanced, "the trips to arrive", 90)


def test_with_nothing_but_the_data_plane(main_job, dags_test, airflow_stopped):
    for dag_id, conf in zip(DAGS, ({}, {"events": 500, "seed": 602}, {}, {}, {}), strict=True):
        status, printed = dags_test(dag_id, "--conf", json.dumps(conf))
        assert status == 0, printed[-3000:]
        main_job.wait(lambda: main_job.ledger().balanced, "the trips to arrive", 90)
    rows, balanced = main_job.count()
    assert balanced
    assert rows["fct_trips"] == rows["silver"]


@pytest.mark.parametrize(
    ("dag_id", "said"),
    [
        ("taxi_trip_generator", "registry"),
        ("nyc_taxi_pipeline", "Is it running? `make status` shows each part"),
        ("audit", "Is it running? `make status` shows each part"),
    ],
)
def test_with_nothing_running_says_what_is_missing(dags_test, dag_id, said):
    status, printed = dags_test(dag_id, **NOTHING)

    assert said in printed, "\n".join(line for line in printed.splitlines() if "rdkafka" not in line)[-6000:]
    assert status == 1


def test_gold_by_hand(main_job, shell, tmp_path: Path):
    main_job.send(Trips(events=500, seed=603))

    built = shell("python", "-m", "lakehouse", "dbt-build", "--pipeline", PIPELINE)

    assert built.returncode == 0, built.stdout + built.stderr
    rows, balanced = main_job.count()
    assert balanced
    assert rows["fct_trips"] == rows["silver"]
    for verb, shows in {
        "dbt-test": "ERROR=0",
        "dbt-docs": "static_index.html",
        "ledger": "ledger: balanced",
        "audit": "audit: clean",
    }.items():
        run = shell("python", "-m", "lakehouse", verb, "--pipeline", PIPELINE)
        assert run.returncode == 0, run.stdout + run.stderr
        assert shows in run.stdout
    count = "select count(*) as trips from fct_trips"
    query = shell("python", "-m", "lakehouse", "query", "--pipeline", PIPELINE, count)
    assert str(rows["silver"]) in query.stdout
