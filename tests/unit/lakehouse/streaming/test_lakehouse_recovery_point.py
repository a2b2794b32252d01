"""For a backup, tables stand still: jobs stopped with a savepoint, and nobody starts them or maintains a table meanwhile."""

from __future__ import annotations

from functools import partial

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.maintenance.lease import LeaseLost, lease
from lakehouse.streaming import recovery_point
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.recovery_point import RecoveryPoint, held_still

A = "a" * 32
TABLE = "bronze.raw_trips"


@pytest.fixture
def running(job, flink, commit, state, monkeypatch) -> str:
    """Bronze runs and has written rows up to checkpoint 7; returns where it puts a savepoint."""
    monkeypatch.setenv("AIRFLOW_VAR_FLINK_STATE_DIR", job.state_dir)
    flink.runs_as(job, A)
    commit(TABLE, A, 7)
    state(f"checkpoints/bronze/{A}/chk-7", 7, age_s=20)
    flink.savepoint = lambda: state("savepoints/bronze/savepoint-aaaaaa-1", 8, age_s=10)
    return f"{job.savepoint_dir}/savepoint-aaaaaa-1"


def test_the_jobs_stop_with_savepoints_and_nobody_meets_a_table(running, flink, iceberg):
    with held_still() as point:
        tables = {TABLE: iceberg.load_table(TABLE).metadata_location}
        assert point == RecoveryPoint(tables, {"bronze": running, "silver": None})
        assert flink.live() == []
        with pytest.raises(TimeoutError), lease(TABLE, "expire_snapshots", wait_s=0.2):
            pass
        with pytest.raises(TimeoutError), deployment_lock("bronze", 0.2):
            pass
    with lease(TABLE, "expire_snapshots", wait_s=0.2), deployment_lock("bronze", 0.2):
        pass


def test_it_waits_for_maintenance_before_it_stops_anything(running, flink, monkeypatch):
    monkeypatch.setattr(recovery_point, "lease", partial(lease, wait_s=0.2))
    with (
        lease(TABLE, "rewrite_data_files", "a run"),
        pytest.raises(TimeoutError, match=r"raw_trips for a backup.*held by a run \(rewrite_data_files\)"),
        held_still(),
    ):
        pass
    assert flink.live() == [A]


def test_a_job_that_builds_tables_beside_is_waited_for(running, flink):
    flink.runs["b" * 32] = {"name": "silver-replay-1", "state": "RUNNING"}
    with pytest.raises(AirflowException, match="Flink runs silver-replay-1"), held_still():
        pass
    assert A in flink.live()


def test_without_a_savepoint_there_is_no_point(running, flink):
    flink.savepoint = None
    with pytest.raises(FlinkError, match="disk full"), held_still():
        pass
    assert flink.live() == [A]


def test_a_lease_that_was_lost_meanwhile_is_told(running, iceberg):
    with pytest.raises(LeaseLost), held_still(), iceberg.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE maintenance_leases SET token = 'another'")
