"""`airflow dags test` in a shell: next to a running scheduler, with only the data plane, and with nothing running."""

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
    """Run `airflow dags test` of a DAG; return exit status and output."""

    def run(dag_id: str, *more: str, **changed: str) -> tuple[int, str]:
        run = shell("airflow", "dags", "test", dag_id, *more, **changed)
        return run.returncode, run.stdout + run.stderr

    return run


@pytest.fixture
def airflow_stopped(platform: Platform, command: Callable[..., str]) -> Iterator[None]:
    """Only the data plane is running; Airflow is restarted afterwards."""
    supervisor = Supervisor(platform)
    for name in supervisor.info():
        if name.startswith("airflow-"):
            supervisor.call("stopProcess", name)
    yield
    command("up")


def runs_known_to_airflow(platform: Platform) -> int:
    url = probes.postgres_url(platform.port("POSTGRES_PORT"), "airflow", platform.values["POSTGRES_AIRFLOW_PASSWORD"])
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM dag_run WHERE run_type = 'manual'").fetchone()[0]


@pytest.mark.parametrize("dag_id", DAGS)
def test_next_to_a_running_scheduler(platform, main_job, dags_test, dag_id):
    """The DAG is unpaused and scheduled: the test uses a separate database."""
    before = runs_known_to_airflow(platform)

    status, printed = dags_test(dag_id, *(["--conf", '{"events": 500, "seed": 601}'] if "generator" in dag_id else []))

    assert status == 0, printed[-3000:]
    assert runs_known_to_airflow(platform) == before
    main_job.wait(lambda: main_job.ledger().balanced, "the trips to arrive", 90)


def test_with_only_the_data_plane(main_job, dags_test, airflow_stopped):
    for dag_id, conf in zip(DAGS, ({}, {"events": 500, "seed": 602}, {}, {}, {}), strict=True):
        status, printed = dags_test(dag_id, "--conf", json.dumps(conf))
        assert status == 0, printed[-3000:]
        main_job.wait(lambda: main_job.ledger().balanced, "the trips to arrive", 90)
    rows, balanced = main_job.count()
    assert balanced
    assert rows["fct_trips"] == rows["silver"]


@pytest.mark.parametrize(
    ("dag_id", "output"),
    [
        ("taxi_trip_generator", "registry"),
        ("nyc_taxi_pipeline", "Next: `make status` shows each service"),
        ("audit", "Next: `make status` shows each service"),
    ],
)
def test_with_nothing_running_the_missing_services_are_reported(dags_test, dag_id, output):
    status, printed = dags_test(dag_id, **NOTHING)

    assert output in printed, "\n".join(line for line in printed.splitlines() if "rdkafka" not in line)[-6000:]
    assert status == 1


def test_gold_with_dbt_in_a_shell(main_job, shell, tmp_path: Path):
    main_job.send(Trips(events=500, seed=603))

    built = shell("python", "-m", "lakehouse", "dbt-build", "--pipeline", PIPELINE)

    assert built.returncode == 0, built.stdout + built.stderr
    rows, balanced = main_job.count()
    assert balanced
    assert rows["fct_trips"] == rows["silver"]
    for command, shows in {
        "dbt-test": "ERROR=0",
        "dbt-docs": "static_index.html",
        "ledger": "ledger: balanced",
        "audit": "audit: clean",
    }.items():
        run = shell("python", "-m", "lakehouse", command, "--pipeline", PIPELINE)
        assert run.returncode == 0, run.stdout + run.stderr
        assert shows in run.stdout
    count = "select count(*) as trips from fct_trips"
    query = shell("python", "-m", "lakehouse", "query", "--pipeline", PIPELINE, count)
    assert str(rows["silver"]) in query.stdout
