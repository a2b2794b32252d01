"""For a backup the platform is quiesced: jobs are stopped with savepoints, and no job is started nor table maintained."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial

import pytest
from airflow.sdk.exceptions import AirflowException
from more_pipelines import RIDES, declare

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.maintenance.lease import LeaseLost, _rows, lease
from lakehouse.streaming import recovery_point
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.recovery_point import RecoveryPoint, quiesce

A, B = "a" * 32, "b" * 32
JOB = "nyc_taxi.bronze"
TABLE = "bronze.raw_trips"


@pytest.fixture(autouse=True)
def no_lease_left(iceberg) -> Iterator[None]:
    """Delete leases, because the database is shared by all tests."""
    yield
    _rows().drop(iceberg.engine, checkfirst=True)


@pytest.fixture
def running(taxi, job, flink, commit, state, monkeypatch) -> str:
    """Bronze runs and has written rows up to checkpoint 7; returns the path of its next savepoint."""
    monkeypatch.setenv("AIRFLOW_VAR_FLINK_STATE_DIR", job.state_dir)
    flink.runs_as(replace(job, name=JOB), A)
    commit(TABLE, A, 7)
    state(f"checkpoints/{JOB}/{A}/chk-7", 7, age_s=20)
    flink.savepoint = lambda: state(f"savepoints/{JOB}/savepoint-aaaaaa-1", 8, age_s=10)
    return f"{job.state_dir}/savepoints/{JOB}/savepoint-aaaaaa-1"


def test_jobs_are_stopped_with_savepoints_and_tables_are_leased(running, flink, iceberg):
    with quiesce() as point:
        tables = {TABLE: iceberg.load_table(TABLE).metadata_location}
        assert point == RecoveryPoint(tables, {JOB: running, "nyc_taxi.silver": None})
        assert flink.live() == []
        with pytest.raises(TimeoutError), lease(TABLE, "expire_snapshots", wait_s=0.2):
            pass
        with pytest.raises(TimeoutError), deployment_lock(JOB, 0.2):
            pass
    with lease(TABLE, "expire_snapshots", wait_s=0.2), deployment_lock(JOB, 0.2):
        pass


@pytest.mark.parametrize("enabled", [True, False])
def test_the_jobs_of_all_pipelines_are_stopped_even_disabled_ones(running, flink, job, monkeypatch, tmp_path, enabled):
    """They may still run, because `flink_jobs` stops them at its next run."""
    declare(monkeypatch, tmp_path, rides={**RIDES, "enabled": enabled})
    flink.runs_as(replace(job, name="rides.typing"), B)
    with quiesce():
        assert flink.live() == []


def test_it_has_the_tables_of_all_pipelines_and_others(running, fill, monkeypatch, tmp_path):
    declare(monkeypatch, tmp_path, rides=RIDES)
    for name in ("core.rides", "bronze.rides", "ops.maintenance_log", "bronze_before_replay.rides"):
        fill(name, 0)
    with quiesce() as point:
        assert sorted(point.tables) == sorted(
            [TABLE, "core.rides", "bronze.rides", "ops.maintenance_log", "bronze_before_replay.rides"]
        )
        assert [*point.states] == [JOB, "nyc_taxi.silver", "rides.landing", "rides.typing", "rides.splitting"]
        for name in ("bronze.rides", "bronze_before_replay.rides"):
            with pytest.raises(TimeoutError), lease(name, "expire_snapshots", wait_s=0.2):
                pass
        with pytest.raises(TimeoutError), deployment_lock("rides.typing", 0.2):
            pass


def test_a_job_that_still_runs_under_its_old_name_is_stopped_as_well(running, flink, job):
    flink.runs[A]["name"] = "bronze"
    with quiesce() as point:
        assert flink.live() == []
        assert point.states[JOB] == running


def test_it_waits_for_maintenance_before_it_stops_anything(running, flink, monkeypatch):
    monkeypatch.setattr(recovery_point, "lease", partial(lease, wait_s=0.2))
    with (
        lease(TABLE, "rewrite_data_files", "a run"),
        pytest.raises(TimeoutError, match=r"raw_trips for a backup.*held by a run \(rewrite_data_files\)"),
        quiesce(),
    ):
        pass
    assert flink.live() == [A]


def test_a_running_replay_is_refused(running, flink):
    flink.runs[B] = {"name": "nyc_taxi.silver-replay-1", "state": "RUNNING"}
    with (
        pytest.raises(AirflowException, match=r"Flink is running nyc_taxi\.silver-replay-1, which is not in a valid"),
        quiesce(),
    ):
        pass
    assert A in flink.live()


def test_a_job_with_a_broken_declaration_is_refused(running, flink, monkeypatch, tmp_path):
    declare(monkeypatch, tmp_path, rides={**RIDES, "typo": 1})
    flink.runs[B] = {"name": "rides.typing", "state": "RUNNING"}
    with (
        pytest.raises(AirflowException, match=r"Flink is running rides\.typing.*rides\.yaml: typo: unknown key"),
        quiesce(),
    ):
        pass
    assert A in flink.live()


def test_without_a_savepoint_there_is_no_recovery_point(running, flink):
    flink.savepoint = None
    with pytest.raises(FlinkError, match="disk full"), quiesce():
        pass
    assert flink.live() == [A]


def test_a_lost_lease_is_an_error(running, iceberg):
    with pytest.raises(LeaseLost), quiesce(), iceberg.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE maintenance_leases SET token = 'another'")


def test_the_command_prints_the_recovery_point_and_waits_for_the_end_of_its_input(running, flink, monkeypatch, capsys):
    class Input(io.StringIO):
        def read(self) -> str:
            with pytest.raises(TimeoutError), deployment_lock(JOB, 0.2):
                pass
            return ""

    monkeypatch.setattr("sys.stdin", Input())
    assert recovery_point.main() == 0
    point = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert point["states"] == {JOB: running, "nyc_taxi.silver": None}
    assert set(point) == set(asdict(RecoveryPoint({}, {})))
