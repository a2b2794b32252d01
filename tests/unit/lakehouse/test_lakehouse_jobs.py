"""A job is compared by what it declares, starts from its own newest state, and never doubles rows."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.hooks.flink import FlinkError
from lakehouse.jobs import Deployment, FlinkJob, JobDeployer, newest_state

SINK = "bronze.raw_trips"


@pytest.fixture
def job(tmp_path: Path) -> FlinkJob:
    return FlinkJob("bronze", "INSERT INTO a", SINK, f"file://{tmp_path}/flink", {"parallelism.default": "1", "a": "b"})


@pytest.mark.parametrize(
    "change",
    [{"script": "INSERT INTO b"}, {"options": {"parallelism.default": "2", "a": "b"}}, {"options": {"a": "b"}}],
)
def test_other_sql_or_options_give_another_fingerprint(job, change):
    assert replace(job, **change).fingerprint != job.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"a": "b", "parallelism.default": "1"}},  # the same in another order
        {"name": "other"},
        {"sink": "other.table"},
        {"state_dir": "s3://elsewhere"},
    ],
)
def test_nothing_else_does(job, change):
    assert replace(job, **change).fingerprint == job.fingerprint


@pytest.fixture
def state(tmp_path: Path):
    """Make a checkpoint or savepoint as Flink does: a folder, complete with the file `_metadata`."""

    def state(path: str, age_s: float, complete: bool = True) -> str:
        folder = tmp_path / "flink" / path
        folder.mkdir(parents=True)
        for name in ("data", "_metadata") if complete else ("data",):
            (folder / name).touch()
            os.utime(folder / name, (1_700_000_000 - age_s,) * 2)
        return f"file://{folder}"

    return state


def test_without_state_there_is_none(job, state):
    assert newest_state(job) is None
    state("checkpoints/bronze/1f0c/chk-7", 5, complete=False)
    assert newest_state(job) is None


def test_the_newest_complete_checkpoint_of_any_run(job, state):
    newest = state("checkpoints/bronze/1f0c/chk-12", 30)
    state("checkpoints/bronze/1f0c/chk-13", 5, complete=False)
    state("checkpoints/bronze/ffff/chk-99", 60)
    state("checkpoints/silver/aaaa/chk-1", 1)
    state("checkpoints/bronze/1f0c/shared", 1)
    assert newest_state(job) == newest


@pytest.mark.parametrize(("savepoint_age", "is_newest"), [(10, True), (50, False)])
def test_checkpoint_or_savepoint_by_time(job, state, savepoint_age, is_newest):
    checkpoint = state("checkpoints/bronze/1f0c/chk-12", 30)
    savepoint = state("savepoints/bronze/savepoint-1f0c-1", savepoint_age)
    assert newest_state(job) == (savepoint if is_newest else checkpoint)


@pytest.fixture
def flink(http, connect):
    """A JobManager with no job."""
    connect("flink_rest", port=http.server_port)
    http["GET /jobs/overview"] = {"jobs": []}
    return http


def listed(state: str, started_ms: int = 1, jid: str = "1f0c") -> dict:
    return {"jid": jid, "name": "bronze", "state": state, "start-time": started_ms}


def test_a_job_that_runs_with_this_fingerprint_is_left_alone(job, flink, iceberg):
    flink["GET /jobs/overview"] = {"jobs": [listed("CANCELED", 5, "0000"), listed("RESTARTING")]}
    running = {"execution-config": {"user-config": {"lakehouse.fingerprint": job.fingerprint}}}
    flink["GET /jobs/1f0c/config"] = running
    assert JobDeployer().deploy(job) == Deployment("bronze", "unchanged", "1f0c", job.fingerprint)
    assert {method for method, *_ in flink.asked} == {"GET"}


def test_a_job_with_another_fingerprint_is_stopped_with_a_savepoint(job, flink, iceberg):
    flink["GET /jobs/overview"] = {"jobs": [listed("RUNNING")]}
    flink["GET /jobs/1f0c/config"] = {"execution-config": {"user-config": {"lakehouse.fingerprint": "other"}}}
    flink["POST /jobs/1f0c/stop"] = 409, {"errors": ["not now"]}
    with pytest.raises(FlinkError, match="jobs/1f0c/stop gave 409: not now"):
        JobDeployer().deploy(job)
    assert flink.asked[-1] == ("POST", "/jobs/1f0c/stop", {"targetDirectory": job.savepoint_dir, "drain": False})


def test_rows_without_state_forbid_a_fresh_start(job, flink, fill):
    fill(SINK, 3)
    with pytest.raises(
        AirflowException, match=r"no checkpoint or savepoint under file:.*bronze\.raw_trips holds 3 rows"
    ):
        JobDeployer().deploy(job)
    assert {method for method, *_ in flink.asked} == {"GET"}


def test_a_first_start_needs_no_state(job, flink, fill):
    assert JobDeployer()._state_to_restore(job) is None
    fill(SINK, 0)
    assert JobDeployer()._state_to_restore(job) is None


def test_rows_with_state_start_from_it(job, flink, fill, state):
    fill(SINK, 3)
    checkpoint = state("checkpoints/bronze/1f0c/chk-1", 1)
    assert JobDeployer()._state_to_restore(job) == checkpoint


def test_the_same_start_has_the_same_id_and_any_other_another(job, flink, fill, iceberg):
    """Flink refuses a second submission of an id; it must not refuse a start that is not the same."""
    fill(SINK, 0)
    deployer = JobDeployer()
    starts = [
        deployer._job_id(job, None),
        deployer._job_id(job, "file:///chk-1"),
        deployer._job_id(job, "file:///chk-2"),
    ]
    assert starts == [
        deployer._job_id(job, None),
        deployer._job_id(job, "file:///chk-1"),
        deployer._job_id(job, "file:///chk-2"),
    ]
    starts.append(deployer._job_id(replace(job, script="INSERT INTO b"), None))
    flink["GET /jobs/overview"] = {"jobs": [listed("FAILED")]}
    starts.append(deployer._job_id(job, None))
    flink["GET /jobs/overview"] = {"jobs": []}
    iceberg.drop_table(SINK)
    fill(SINK, 0)  # another table of the same name: a stateless start is safe again
    starts.append(deployer._job_id(job, None))
    assert len(set(starts)) == len(starts)
    assert all(len(job_id) == 32 and int(job_id, 16) for job_id in starts)
