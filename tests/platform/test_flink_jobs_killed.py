"""Whatever of the machinery is killed, the jobs come to run as declared, once, and no row is lost or duplicated."""

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
JOBS = ("nyc_taxi.bronze", "nyc_taxi.silver")


@pytest.fixture
def begin(shell_environment: dict[str, str], checkout: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Begin a command of a shell, as the leader of its own group; none is left at the end."""
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
    """Options that no run before had, where a shell's commands look them up: an upgrade is due."""
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
def test_an_upgrade_that_is_killed_is_taken_up(
    begin, flink_jobs_paused, other_options, deploy, trips_arrive, moment, then
):
    flink = FlinkRestHook()
    old = flink.live_run("nyc_taxi.bronze").job_id
    upgrade = begin("airflow", "tasks", "test", "flink_jobs", "nyc_taxi.deploy_bronze")
    wait_until(lambda: moment(flink, old), f"the job to be {moment.__name__}", LIMIT_S, longest_pause_s=0.05)
    kill(upgrade)
    reached = len([run for run in flink.runs("nyc_taxi.bronze") if run.job_id != old and run.live])

    said = deploy("nyc_taxi.bronze")

    assert f"action='{then}'" in said
    assert reached == (moment is submitted)
    live = [run for run in flink.runs("nyc_taxi.bronze") if run.live]
    assert len(live) == 1
    restored = flink.checkpoints(live[0].job_id)["latest"]["restored"]
    assert f"/savepoints/nyc_taxi.bronze/savepoint-{old[:6]}-" in restored["external_path"]
    trips_arrive(seed=321 if moment is stopped else 322)


@pytest.mark.parametrize("parts", [["flink-jobmanager"], ["flink-jobmanager", "flink-taskmanager"]], ids="+".join)
def test_a_cluster_that_forgot_its_jobs_gets_them_back_by_itself(platform, main_job, trips_arrive, parts):
    """Nobody runs `flink_jobs` by hand: that the jobs are gone starts it, or a run that waits for the cluster finds it."""
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
    """What the new run of each job was restored from, once both run."""
    try:
        runs = {job: flink.live_run(job) for job in JOBS}
        if all(run and run.state == "RUNNING" and run.started_ms > old[job].started_ms for job, run in runs.items()):
            return {job: flink.checkpoints(run.job_id)["latest"]["restored"] for job, run in runs.items()}
    except FlinkError:
        pass  # the JobManager is not back yet; or it says for some seconds more what it said of a job that was about to start
    return None
