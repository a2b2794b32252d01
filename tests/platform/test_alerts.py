"""Alerts on the platform: one message for a missing job or failed task, and one after its end, also across a restart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from demo.main_job import MainJob
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.waiting import wait_until
from local.supervision import Supervisor

LIMIT_S = 240
DAG = "platform_alerts"


@pytest.fixture
def at_once(main_job: MainJob) -> Iterator[None]:
    """Alerts fire immediately."""
    declared = main_job.api.variable("health_thresholds")
    main_job.api.set_variable("health_thresholds", json.dumps({**json.loads(declared), "alarm_for_s": 0}))
    yield
    main_job.api.set_variable("health_thresholds", declared)


@pytest.fixture
def look(main_job: MainJob) -> Callable[[], list[str]]:
    """Run `platform_alerts` once; return the firing alerts."""

    def look() -> list[str]:
        run = main_job.api.trigger(DAG, {})
        main_job.wait(lambda: main_job.api.state(DAG, run) in ("success", "failed"), f"{DAG} to end", LIMIT_S)
        assert main_job.api.state(DAG, run) == "success", main_job.api.describe_failure(DAG, run)
        evaluated = main_job.api.call("GET", f"dags/{DAG}/dagRuns/{quote(run)}/taskInstances/~/xcomEntries?limit=100")
        found = [
            entry for entry in evaluated["xcom_entries"] if entry["key"] == "return_value" and entry["map_index"] >= 0
        ]
        assert [entry["task_id"] for entry in found] == ["evaluate"] * len(found)
        path = f"dags/{DAG}/dagRuns/{quote(run)}/taskInstances/evaluate/xcomEntries/return_value"
        firing = [
            main_job.api.call("GET", f"{path}?deserialize=true&map_index={n['map_index']}")["value"] for n in found
        ]
        return [name for names in [*firing, main_job.api.returned(DAG, run, "evaluate_airflow")] for name in names]

    return look


def titles(receiver, about: str) -> list[str]:
    return [message["title"] for message in receiver.messages if about in message["title"]]


def test_a_missing_job(platform, main_job, command, receiver, at_once, look, trips_arrive, flink_jobs_paused):
    about = "job-missing: nyc_taxi.silver"
    trips_arrive(seed=800)  # before the first event of a new platform nothing is evaluated
    flink = FlinkRestHook()
    flink.call("PATCH", f"jobs/{flink.live_run('nyc_taxi.silver').job_id}?mode=cancel")
    wait_until(lambda: flink.live_run("nyc_taxi.silver") is None, "the job to be cancelled", LIMIT_S)

    assert "job-missing.nyc_taxi.silver" in look()
    receiver.await_message(f"ALERT {about}", "Flink job nyc_taxi.silver is gone", "docs/runbook.md#job-missing")

    for name in ("airflow-scheduler", "airflow-api-server"):
        Supervisor(platform).call("stopProcess", name)
    command("up")
    assert "job-missing.nyc_taxi.silver" in look()
    assert titles(receiver, about) == [f"ALERT {about}"]

    flink_jobs_paused()
    main_job.deploy()
    assert "job-missing.nyc_taxi.silver" not in look()
    look()
    assert titles(receiver, about) == [f"ALERT {about}", f"RESOLVED {about}"]
    assert "resolved after 0:0" in receiver.await_message(f"RESOLVED {about}")["message"]
    trips_arrive(seed=801)


def test_a_failed_task(main_job, receiver, look):
    """The task itself sends the alert; the next success resolves it."""
    dag_id, alert = "taxi_trip_generator", "task-failed.taxi_trip_generator.generate"

    def generate(**params: object) -> str:
        run = main_job.api.trigger(dag_id, params)
        main_job.wait(lambda: main_job.api.state(dag_id, run) in ("success", "failed"), "the generator", LIMIT_S)
        return main_job.api.state(dag_id, run)

    assert generate(source="/no/such/file.parquet") == "failed"
    receiver.await_message("failure: taxi_trip_generator.generate", "docs/runbook.md#task-failed")
    assert alert in look()
    assert titles(receiver, "RESOLVED task-failed: taxi_trip_generator") == []

    assert generate(events=100, seed=802) == "success"
    assert alert not in look()
    receiver.await_message("RESOLVED task-failed: taxi_trip_generator.generate")


def test_in_a_shell(main_job, shell):
    main_job.wait(main_job.ledger_at_rest, "trips to arrive", LIMIT_S)

    run = shell("airflow", "dags", "test", DAG)
    assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
    assert "ALERT" not in run.stdout + run.stderr

    health = shell("python", "-m", "lakehouse", "health")
    assert health.returncode == 0, health.stdout + health.stderr
    for output in ("nyc_taxi.bronze", "nyc_taxi.silver", "RUNNING", "by partition", "backpressure"):
        assert output in health.stdout
