"""Alarms on the platform: one message when a job is gone or a task failed, one when it is over, also across a restart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.waiting import wait_until
from local.main_job import MainJob
from local.supervision import Supervisor

LIMIT_S = 240
DAG = "platform_alerts"


@pytest.fixture
def at_once(main_job: MainJob) -> Iterator[None]:
    """Alarms ring when they are first seen."""
    declared = main_job.api.variable("health_thresholds")
    main_job.api.set_variable("health_thresholds", json.dumps({**json.loads(declared), "alarm_for_s": 0}))
    yield
    main_job.api.set_variable("health_thresholds", declared)


@pytest.fixture
def look(main_job: MainJob) -> Callable[[], list[str]]:
    """One run of `platform_alerts`; which alarms are on."""

    def look() -> list[str]:
        run = main_job.api.trigger(DAG, {})
        main_job.wait(lambda: main_job.api.state(DAG, run) in ("success", "failed"), f"{DAG} to end", LIMIT_S)
        assert main_job.api.state(DAG, run) == "success", main_job.api.describe_failure(DAG, run)
        return main_job.api.returned(DAG, run, "ring_alarms")

    return look


def titles(receiver, about: str) -> list[str]:
    return [message["title"] for message in receiver.messages if about in message["title"]]


def test_a_job_that_is_gone(platform, main_job, verb, receiver, at_once, look, trips_arrive, nobody_mends_it):
    about = "job-missing: silver"
    trips_arrive(seed=800)  # before the first event of a new platform there is nothing to judge
    flink = FlinkRestHook()
    flink.call("PATCH", f"jobs/{flink.live_run('silver').job_id}?mode=cancel")
    wait_until(lambda: flink.live_run("silver") is None, "the job to be cancelled", LIMIT_S)

    assert "job-missing.silver" in look()
    receiver.await_message(f"ALARM {about}", "Flink job silver is not there", "docs/runbook.md#job-missing")

    for name in ("airflow-scheduler", "airflow-api-server"):
        Supervisor(platform).call("stopProcess", name)
    verb("up")
    assert "job-missing.silver" in look()
    assert titles(receiver, about) == [f"ALARM {about}"]

    nobody_mends_it()
    main_job.deploy()
    assert "job-missing.silver" not in look()
    look()
    assert titles(receiver, about) == [f"ALARM {about}", f"OK {about}"]
    assert "over after 0:0" in receiver.await_message(f"OK {about}")["message"]
    trips_arrive(seed=801)


def test_a_task_that_failed(main_job, receiver, look):
    """The task itself tells it, by the same alarm; the next success is the end of it."""
    dag_id, alarm = "taxi_trip_generator", "task-failed.taxi_trip_generator.generate"

    def generate(**params: object) -> str:
        run = main_job.api.trigger(dag_id, params)
        main_job.wait(lambda: main_job.api.state(dag_id, run) in ("success", "failed"), "the generator", LIMIT_S)
        return main_job.api.state(dag_id, run)

    assert generate(source="/no/such/file.parquet") == "failed"
    receiver.await_message("failure: taxi_trip_generator.generate", "docs/runbook.md#task-failed")
    assert alarm in look()
    assert titles(receiver, "OK task-failed") == []

    assert generate(events=100, seed=802) == "success"
    assert alarm not in look()
    receiver.await_message("OK task-failed: taxi_trip_generator.generate")


def test_in_a_shell(main_job, shell):
    main_job.wait(main_job.ledger_at_rest, "trips to arrive", LIMIT_S)

    run = shell("airflow", "dags", "test", DAG)
    assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
    assert "ALERT" not in run.stdout + run.stderr

    health = shell("python", "-m", "lakehouse", "health")
    assert health.returncode == 0, health.stdout + health.stderr
    for said in ("bronze\n", "silver\n", "RUNNING", "by partition", "backpressure"):
        assert said in health.stdout
