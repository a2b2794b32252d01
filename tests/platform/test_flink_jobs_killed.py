"""Processes are killed during deployments: the jobs run as declared, once, and no row is lost or duplicated."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from checkout import Checkout

from lakehouse.airflow.hooks.flink import FlinkError, FlinkJobRun, FlinkRestHook
from lakehouse.waiting import wait_until
from local.supervision import Supervisor

LIMIT_S = 240
JOBS = ("nyc_taxi.bronze", "nyc_taxi.silver", "nyc_taxi.live")


@pytest.fixture
def begin(shell_environment: dict[str, str], checkout: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a shell command as a process group leader; all are ended after the test."""
    begun: list[subprocess.Popen] = []

    def begin(*command: str) -> subprocess.Popen:
        begun.append(subprocess.Popen(command, cwd=checkout, env=shell_environment, start_new_session=True))
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            kill(process)


def kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def other_options(copy: Checkout) -> Iterator[None]:
    """Set new options in the environment of shell commands, so that an upgrade is due."""
    settings = copy.folder / "airflow_settings.yaml"
    declared = settings.read_text()
    pause = f"{datetime.now(UTC).microsecond % 900 + 100} ms"
    copy.change_variable("flink_job_options", **{"execution.checkpointing.min-pause": pause})
    yield
    settings.write_text(declared)


def stopped(flink: FlinkRestHook, old: str) -> bool:
    return flink.state(old) == "FINISHED"


def submitted(flink: FlinkRestHook, old: str) -> bool:
    run = flink.live_run("nyc_taxi.bronze")
    return run is not None and run.job_id != old


@pytest.mark.parametrize(("moment", "then"), [(stopped, "restored"), (submitted, "re-attached")])
def test_an_interrupted_upgrade_is_completed(
    begin, flink_jobs_paused, other_options, deploy, trips_arrive, moment, then
):
    flink = FlinkRestHook()
    old = flink.live_run("nyc_taxi.bronze").job_id
    upgrade = begin("airflow", "tasks", "test", "flink_jobs", "nyc_taxi.deploy_bronze")
    wait_until(lambda: moment(flink, old), f"the job to be {moment.__name__}", LIMIT_S, longest_pause_s=0.05)
    kill(upgrade)
    reached = len([run for run in flink.runs("nyc_taxi.bronze") if run.job_id != old and run.live])

    output = deploy("nyc_taxi.bronze")

    assert f"action='{then}'" in output
    assert reached == (moment is submitted)
    live = [run for run in flink.runs("nyc_taxi.bronze") if run.live]
    assert len(live) == 1
    restored = flink.checkpoints(live[0].job_id)["latest"]["restored"]
    assert f"/savepoints/nyc_taxi.bronze/savepoint-{old[:6]}-" in restored["external_path"]
    trips_arrive(seed=321 if moment is stopped else 322)


@pytest.mark.parametrize("parts", [["flink-jobmanager"], ["flink-jobmanager", "flink-taskmanager"]], ids="+".join)
def test_jobs_are_restored_after_the_cluster_lost_them(platform, main_job, trips_arrive, parts):
    """`flink_jobs` is triggered by the missing jobs, or an active run that waits for the cluster restores them."""
    flink = FlinkRestHook()
    main_job.at_rest("flink_jobs", LIMIT_S)
    old = {job: flink.live_run(job) for job in JOBS}
    info = Supervisor(platform).info()

    for part in parts:
        psutil.Process(info[part]["pid"]).kill()

    restored = wait_until(lambda: _restored_again(flink, old), "both jobs to come back", LIMIT_S)
    for job in JOBS:
        assert f"/checkpoints/{job}/{old[job].job_id}/chk-" in restored[job]["external_path"]
    trips_arrive(seed=330 + len(parts))


def _restored_again(flink: FlinkRestHook, old: dict[str, FlinkJobRun]) -> dict[str, dict] | None:
    """What the new run of each job was restored from, once both are running."""
    try:
        runs = {job: flink.live_run(job) for job in JOBS}
        if all(run and run.state == "RUNNING" and run.started_ms > old[job].started_ms for job, run in runs.items()):
            return {job: flink.checkpoints(run.job_id)["latest"]["restored"] for job, run in runs.items()}
    except FlinkError:
        pass  # the JobManager is not available yet, or still returns outdated information about a job for some seconds
    return None
