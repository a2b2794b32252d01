"""Jobs that write our tables and were started by somebody else are known by their commits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from remembered import began, committed

from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.streaming import record as records
from lakehouse.streaming.record import JobRecord, Start
from lakehouse.streaming.writers import unknown_writers, writers
from lakehouse.tables.glance import glance

OURS, STRANGER = "a" * 32, "f" * 32
TABLE, OTHER = "bronze.raw_trips", "bronze.rejected_events"


@pytest.fixture
def found(job, flink) -> Callable[[], tuple[str, ...]]:
    """Who is found to write the job's tables, by a look at them now."""

    def found() -> tuple[str, ...]:
        tables = {name: IcebergCatalogHook().table(name) for name in job.tables}
        return unknown_writers(job, tables, FlinkRestHook())

    return found


@pytest.fixture
def started(job, commit) -> Callable[..., None]:
    """`flink_jobs` has made these starts; both tables have a commit of one of them."""

    def started(*starts: Start) -> None:
        records.save(job, JobRecord(starts=starts))
        for table in job.tables:
            commit(table, OURS, 7)

    return started


def test_what_flink_jobs_started_is_known_without_asking_flink(found, started, http):
    started(began(OURS))
    assert found() == ()
    assert http.asked == []


def test_a_stranger_is_named_by_table_name_and_id(found, started, commit, flink):
    started(began(OURS))
    commit(OTHER, STRANGER, 1)
    commit(OTHER, OURS, 8)  # our job goes on meanwhile
    flink.runs[STRANGER] = {"name": "insert-into_by_hand", "state": "RUNNING"}
    assert found() == (
        f"table bronze.rejected_events is written by Flink job insert-into_by_hand ({STRANGER}), which flink_jobs did not start",
    )


def test_one_that_flink_does_not_know_is_named_by_its_id(found, started, commit):
    """It ran in another cluster, or before the JobManager was restarted."""
    started(began(OURS))
    commit(TABLE, STRANGER, 1)
    [said] = found()
    assert f"written by Flink job {STRANGER}, which" in said


def test_one_that_has_ended_is_forgotten_after_an_hour(found, started, commit, monkeypatch):
    started(began(OURS))
    commit(TABLE, STRANGER, 1)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3_500)
    assert len(found()) == 1
    monkeypatch.setattr(time, "time", lambda: now + 3_700)
    assert found() == ()


@pytest.mark.parametrize(
    "start",
    [
        began(STRANGER, f"file:///flink/checkpoints/trips.bronze/{OURS}/chk-7"),
        began(STRANGER, f"file:///flink/savepoints/trips.bronze/savepoint-{OURS[:6]}-1"),
        began(STRANGER, None, (committed(TABLE, OURS, 7),)),
    ],
)
def test_so_is_what_a_start_went_on_from(found, started, start):
    """The record was lost with the start before it."""
    started(start)
    assert found() == ()


def test_a_run_of_ours_is_known_though_the_record_is_lost(found, started, flink, job):
    started()
    assert len(found()) == 2
    flink.runs_as(job, OURS)
    assert found() == ()


def test_commits_of_no_flink_job_are_nobodys(found, started, commit):
    """Maintenance, and other engines: rows that they add are for the ledger."""
    started(began(OURS))
    commit(TABLE)
    assert found() == ()


def test_a_record_that_is_damaged_names_nobody(found, started, job):
    started()
    Path(job.state_dir.removeprefix("file://"), "jobs", f"{job.name}.json").write_text("{")
    assert found() == ()


def test_snapshots_from_before_are_not_looked_at(iceberg, commit):
    """A table of a day has thousands of them, and a glance decodes each that is looked at."""
    commit(TABLE, OURS, 7)
    commit(TABLE, STRANGER, 8)
    table = IcebergCatalogHook().glance(TABLE)
    newest = table.metadata.snapshots[-1].timestamp_ms
    fresh = glance(table.name(), table.metadata_location, iceberg.properties)
    assert writers(fresh, newest + 1) == []
    assert len(fresh.metadata.snapshots._decoded) == 1
