"""Jobs that write to our tables but were not started by the platform are detected by their commits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from remembered import began, committed

from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.erasure.delete import delete_rows
from lakehouse.reconciliation.positions import Positions
from lakehouse.streaming import record as records
from lakehouse.streaming.record import JobRecord, Start
from lakehouse.streaming.writers import changes_by_others, unknown_writers, writers
from lakehouse.tables.commits import MADE_FOR
from lakehouse.tables.lazy_table import load_lazily

OURS, STRANGER = "a" * 32, "f" * 32
TABLE, OTHER = "bronze.raw_trips", "bronze.rejected_events"


@pytest.fixture
def found(job, flink) -> Callable[[], tuple[str, ...]]:
    """Detect the current writers of the job's tables."""

    def found() -> tuple[str, ...]:
        tables = {name: IcebergCatalogHook().table(name) for name in job.tables}
        return unknown_writers(job, tables, FlinkRestHook())

    return found


@pytest.fixture
def started(job, commit) -> Callable[..., None]:
    """`flink_jobs` has started these jobs; both tables have a commit of one of them."""

    def started(*starts: Start) -> None:
        records.save(job, JobRecord(starts=starts))
        for table in job.tables:
            commit(table, OURS, 7)

    return started


def test_our_jobs_are_known_without_calling_flink(found, started, http):
    started(began(OURS))
    assert found() == ()
    assert http.requests == []


def test_an_unknown_job_is_reported_by_table_name_and_id(found, started, commit, flink):
    started(began(OURS))
    commit(OTHER, STRANGER, 1)
    commit(OTHER, OURS, 8)  # our job keeps writing meanwhile
    flink.runs[STRANGER] = {"name": "manual_insert", "state": "RUNNING"}
    assert found() == (
        f"table bronze.rejected_events is written by Flink job manual_insert ({STRANGER}), which flink_jobs did not start",
    )


def test_an_unknown_job_that_is_not_in_flink_is_reported_by_its_id(found, started, commit):
    """It ran in another cluster, or before a restart of the JobManager."""
    started(began(OURS))
    commit(TABLE, STRANGER, 1)
    [message] = found()
    assert f"written by Flink job {STRANGER}, which" in message


def test_an_unknown_job_is_forgotten_an_hour_after_its_end(found, started, commit, monkeypatch):
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
def test_the_job_whose_state_was_restored_is_known(found, started, start):
    """The record of its start was lost."""
    started(start)
    assert found() == ()


def test_our_running_job_is_known_even_if_its_record_is_lost(found, started, flink, job):
    started()
    assert len(found()) == 2
    flink.runs_as(job, OURS)
    assert found() == ()


class TestByOtherPrograms:
    @pytest.fixture
    def changes(self, iceberg, commit) -> Callable[[], list[tuple[str, bool]]]:
        """Changes by others to a table with four rows that our job wrote."""
        commit(TABLE, OURS, 7, rows=4)

        def changes() -> list[tuple[str, bool]]:
            found = changes_by_others([IcebergCatalogHook().lazy_table(TABLE)])
            return [(re.sub(r"\d{5,}", "N", re.sub(r"[\d-]+T[\d:]+Z", "NOW", one.text)), one.removes) for one in found]

        return changes

    def test_none(self, changes, commit):
        commit(TABLE, STRANGER, 8)  # an unknown Flink job is reported separately
        assert changes() == []

    def test_rows_that_are_added(self, changes, commit):
        commit(TABLE, rows=2)
        message = f"table {TABLE} was changed by a program other than Flink at NOW: append (2 rows added; snapshot N)"
        assert changes() == [(message, False)]

    def test_rows_that_are_deleted_or_updated(self, changes, iceberg):
        table = iceberg.load_table(TABLE)
        rows = table.scan().to_arrow()
        table.overwrite(rows, snapshot_properties={"engine-name": "spark"})
        assert changes() == [
            (f"table {TABLE} was changed by spark at NOW: delete (4 rows deleted; snapshot N)", True),
            (f"table {TABLE} was changed by spark at NOW: append (4 rows added; snapshot N)", False),
        ]

    def test_a_rewrite_of_the_same_rows_is_not_a_change(self, changes, commit, iceberg, monkeypatch):
        commit(TABLE)
        monkeypatch.setattr("lakehouse.tables.history.is_rewrite", lambda snapshot: True)
        assert changes() == []

    def test_the_platforms_own_changes(self, changes):
        assert delete_rows([TABLE], Positions.of_offsets(0, [0]), "test") == {}
        table = IcebergCatalogHook().table(TABLE)
        table.delete("kafka_partition = 0", snapshot_properties={MADE_FOR: "an erasure"})
        assert changes() == []

    def test_a_rollback(self, changes, commit, iceberg):
        first = iceberg.load_table(TABLE).current_snapshot().snapshot_id
        commit(TABLE, OURS, 8)
        commit(TABLE, OURS, 9)
        with iceberg.load_table(TABLE).manage_snapshots() as changing:
            changing.rollback_to_snapshot(first)
        commit(TABLE, OURS, 10)
        assert changes() == [(f"table {TABLE} was rolled back at NOW, from snapshot N to N", True)]

    def test_old_changes_are_ignored(self, changes, commit, monkeypatch):
        commit(TABLE)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 3_700)
        assert changes() == []


def test_a_damaged_record_reports_nobody(found, started, job):
    started()
    Path(job.state_dir.removeprefix("file://"), "jobs", f"{job.name}.json").write_text("{")
    assert found() == ()


def test_old_snapshots_are_not_decoded(iceberg, commit):
    """There are thousands of them per day, and each would have to be decoded."""
    commit(TABLE, OURS, 7)
    commit(TABLE, STRANGER, 8)
    table = IcebergCatalogHook().lazy_table(TABLE)
    newest = table.metadata.snapshots[-1].timestamp_ms
    fresh = load_lazily(table.name(), table.metadata_location, iceberg.properties)
    assert writers(fresh, newest + 1) == []
    assert len(fresh.metadata.snapshots._decoded) == 1
