"""Containers are killed, restarted and upgraded: jobs resume from the object store; no row is lost or duplicated."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from compose_project import PORT, Compose, secret

from lakehouse.waiting import wait_until
from local.airflow_api import ENDED, AirflowApi

SMALL = '{"open_files": 2, "closed_after_s": 1, "snapshot_age_s": 10, "retain_last": 1}'
LIMIT_S = 600


@pytest.fixture(scope="module")
def airflow(compose: Compose) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{PORT}", "admin", secret("AIRFLOW_ADMIN_PASSWORD"))


def events(compose: Compose) -> int:
    """Number of events ever written to the topic, according to the ledger."""
    return json.loads(compose.lakehouse("ledger", "--pipeline=nyc_taxi", "--json"))["events"]


def containers(compose: Compose) -> str:
    """Ids of existing containers that the gate in front of Docker created."""
    return compose.run("docker", "ps", "--all", "--quiet", "--filter=label=lakehouse.docker-gate=lakehouse-test").stdout


def test_the_generator_runs_in_a_container(compose: Compose, airflow: AirflowApi):
    before = events(compose)
    run = airflow.trigger("taxi_trip_generator", {"events": 500, "seed": 21, "where": "container"})
    wait_until(lambda: airflow.state("taxi_trip_generator", run) in ENDED, "the generator to end", LIMIT_S)
    sent = airflow.returned("taxi_trip_generator", run, "generate_in_container")
    assert (sent["delivered"], sent["seed"]) == (500, 21)
    assert events(compose) == before + 500
    assert containers(compose) == ""


def test_the_generators_container_is_removed_with_its_task(compose: Compose, airflow: AirflowApi):
    endless = {"events": 1_000_000, "mode": "realtime", "rate": 10, "seed": 22, "where": "container"}
    run = airflow.trigger("taxi_trip_generator", endless)
    wait_until(lambda: containers(compose), "the generator's container", LIMIT_S)
    task = f"dags/taxi_trip_generator/dagRuns/{quote(run)}/taskInstances/generate_in_container"
    airflow.call("PATCH", task, {"new_state": "failed"})
    wait_until(lambda: not containers(compose), "the generator's container to be gone", 60)


def test_a_taskmanager_is_killed_under_load(compose: Compose):
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(compose.demo, 300_000, 11)
        wait_until(lambda: "rows in flight" in compose.lakehouse("ledger"), "rows in flight", LIMIT_S)
        container = compose("ps", "--quiet", "flink-taskmanager").strip()
        pid = compose.run("docker", "inspect", "--format", "{{.State.Pid}}", container).stdout
        os.kill(int(pid), signal.SIGKILL)
        assert "Ledger: balanced" in running.result()


@pytest.mark.parametrize(
    "operation", ["rewrite_data_files", "rewrite_manifests", "expire_snapshots", "remove_orphan_files"]
)
def test_maintenance_on_the_object_store(compose: Compose, operation: str):
    output = compose.lakehouse(
        "maintenance", "--table=silver.cleaned_trips", f"--operation={operation}", f"--thresholds={SMALL}"
    )
    assert '"verdict": "done"' in output or "Nothing to do" in output


def test_a_job_is_upgraded_by_a_savepoint_in_the_object_store(compose: Compose, airflow: AirflowApi):
    wait_until(lambda: airflow.active_run("flink_jobs") is None, "flink_jobs to be idle", LIMIT_S)
    options = json.loads(airflow.variable("flink_job_options"))
    airflow.set_variable("flink_job_options", json.dumps(options | {"execution.checkpointing.min-pause": "100 ms"}))
    run = airflow.trigger("flink_jobs", {})
    wait_until(lambda: airflow.state("flink_jobs", run) in ENDED, "flink_jobs to end", LIMIT_S)
    deployed = airflow.returned("flink_jobs", run, "nyc_taxi.deploy_silver")
    assert "s3://lakehouse/flink/savepoints/nyc_taxi.silver" in json.dumps(deployed)


def test_data_survives_down_and_up(compose: Compose):
    compose.make("compose-down", limit_s=300)
    compose.make("compose-up", limit_s=900)
    assert "Ledger: balanced" in compose.demo(10_000, 12)


def test_the_audit_finds_every_event(compose: Compose):
    assert "audit: clean" in compose.lakehouse("audit", "--at-rest")
