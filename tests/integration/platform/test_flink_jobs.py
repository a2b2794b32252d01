"""The life of the streaming jobs under `flink_jobs`: nothing to do, two at once, other options, a job that is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lakehouse.hooks.flink import FlinkRestHook
from lakehouse.waiting import wait_until
from local.main_job import MainJob

LIMIT_S = 120


@pytest.fixture
def deployments(main_job: MainJob) -> Callable[[], dict[str, dict]]:
    """Run `flink_jobs` and return what it did to each job."""

    def run() -> dict[str, dict]:
        run_id = main_job.deploy()
        return {job: main_job.api.returned("flink_jobs", run_id, f"deploy_{job}") for job in ("bronze", "silver")}

    return run


@pytest.fixture
def job_options(main_job: MainJob) -> Callable[..., None]:
    """Change options of the streaming jobs as in the UI: in the variable."""
    path = "variables/flink_job_options"
    declared = main_job.api.call("GET", path)["value"]

    def change(**options: str) -> None:
        value = json.dumps({**json.loads(declared), **options})
        main_job.api.call("PATCH", path, {"key": "flink_job_options", "value": value})

    yield change
    change()


def test_a_second_run_changes_nothing(deployments):
    jobs = deployments()

    again = deployments()

    assert {name: deployment["action"] for name, deployment in again.items()} == dict.fromkeys(jobs, "unchanged")
    assert [again[name]["job_id"] for name in jobs] == [jobs[name]["job_id"] for name in jobs]


def test_a_job_that_is_gone_is_restored_once_by_two_at_once(deployments, shell, trips_arrive):
    """The DAG's own run and a shell find it missing together; its rows are neither lost nor doubled."""
    flink = FlinkRestHook()
    old = flink.live_run("bronze")
    flink.call("PATCH", f"jobs/{old.job_id}?mode=cancel")
    wait_until(lambda: flink.live_run("bronze") is None, "the job to be cancelled", LIMIT_S)

    with ThreadPoolExecutor(1) as pool:
        by_hand = pool.submit(shell, "airflow", "tasks", "test", "flink_jobs", "deploy_bronze")
        deployments()
        assert by_hand.result().returncode == 0, by_hand.result().stderr

    new = [run for run in flink.runs("bronze") if run.started_ms > old.started_ms]
    assert len(new) == 1
    restored = flink.checkpoints(new[0].job_id)["latest"]["restored"]
    assert f"/checkpoints/bronze/{old.job_id}/chk-" in restored["external_path"]
    trips_arrive(seed=301)


def test_other_options_are_an_upgrade_from_a_savepoint(deployments, job_options, trips_arrive):
    flink = FlinkRestHook()
    old = {job: flink.live_run(job) for job in deployments()}
    job_options(**{"execution.checkpointing.min-pause": "1 s"})

    deployments()

    for job, before in old.items():
        after = flink.live_run(job)
        assert after.job_id != before.job_id
        assert flink.state(before.job_id) == "FINISHED"
        restored = flink.checkpoints(after.job_id)["latest"]["restored"]
        assert restored["is_savepoint"]
        assert f"/savepoints/{job}/savepoint-" in restored["external_path"]
    trips_arrive(seed=302)
