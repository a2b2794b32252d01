"""A job starts from the newest state that matches its tables, without state if they are empty, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from remembered import began

from lakehouse.streaming.record import JobRecord, RolledBack
from lakehouse.streaming.restore import checked, state_to_restore

A, B, STRANGER = "a" * 32, "b" * 32, "f" * 32
TABLE, OTHER = "bronze.raw_trips", "bronze.rejected_events"


@pytest.fixture
def with_offsets(job):
    return replace(job, topic_tables={"trip_events": TABLE})


@pytest.fixture(params=["no tables", "empty tables"])
def empty(request, iceberg, fill):
    if request.param == "empty tables":
        fill(TABLE, 0)
        fill(OTHER, 0)


def test_a_first_start_needs_no_state(job, empty):
    assert state_to_restore(job, JobRecord()) is None


def test_a_state_is_used_even_if_the_tables_are_empty(job, empty, state):
    path = state(f"checkpoints/trips.bronze/{A}/chk-1", 1)
    assert state_to_restore(job, JobRecord()) == path


def test_the_newest_matching_state_is_used(job, commit, state):
    """Newer states of other jobs, and states older than the tables, are ignored."""
    commit(TABLE, A, 7)
    commit(OTHER, A, 6)
    state(f"checkpoints/trips.bronze/{STRANGER}/chk-50", 50, age_s=1)
    fits = state(f"checkpoints/trips.bronze/{A}/chk-7", 7, age_s=5)
    state(f"checkpoints/trips.bronze/{A}/chk-6", 6, age_s=2)
    assert state_to_restore(job, JobRecord()) == fits


def test_after_a_rollback_the_savepoint_before_it_is_used(job, commit, state):
    commit(TABLE, A, 7)
    before = state("savepoints/trips.bronze/savepoint-aaaaaa-1", 8, age_s=60)
    newest = state(f"checkpoints/trips.bronze/{B}/chk-9", 9, age_s=1)
    starts = began(A), began(B, before)
    assert state_to_restore(job, JobRecord(starts=starts)) == newest
    refused = RolledBack(fingerprint="f00d", reason="", savepoint=before)
    assert state_to_restore(job, JobRecord(rolled_back=refused, starts=starts)) == before
    commit(TABLE, B, 9)
    assert state_to_restore(job, JobRecord(rolled_back=refused, starts=starts)) == newest


def test_rows_without_state_prevent_a_start(job, commit):
    commit(TABLE, A, 7, rows=1_200)
    commit(OTHER, A, 7, rows=34)
    why = r"no checkpoint or savepoint under file:.*/flink\. A start would duplicate rows"
    with pytest.raises(AirflowException, match=rf"have 1,234 rows, and there is {why}") as error:
        state_to_restore(job, JobRecord())
    assert_options(error, offsets=False)


def test_rows_with_an_outdated_state_prevent_a_start(with_offsets, commit, state):
    commit(TABLE, A, 7)
    state(f"checkpoints/trips.bronze/{A}/chk-6", 6)
    with pytest.raises(AirflowException, match=r"raw_trips contains everything up to checkpoint 7, .*chk-6") as error:
        state_to_restore(with_offsets, JobRecord())
    assert_options(error, offsets=True)


def test_rows_in_one_table_are_enough(job, commit, fill):
    fill(TABLE, 0)
    commit(OTHER)
    with pytest.raises(AirflowException, match="have 1 rows"):
        state_to_restore(job, JobRecord())


def test_a_matching_path(job, commit, state):
    commit(TABLE, A, 7)
    path = state(f"checkpoints/trips.bronze/{A}/chk-7", 7)
    assert checked(job, JobRecord(), path) == path
    backup = state("savepoints/other/savepoint-aaaaaa-1", 8)
    assert checked(job, JobRecord(), f"{backup}/") == checked(job, JobRecord(), backup.replace("///", "/")) == backup


def test_a_path_without_a_complete_state_is_refused_with_the_alternatives(job, iceberg, state):
    whole = state(f"checkpoints/trips.bronze/{A}/chk-7", 7, age_s=9)
    half = state(f"checkpoints/trips.bronze/{A}/chk-8", 8, size=3)
    with pytest.raises(AirflowFailException, match=rf"no complete .* at {half}. The newest are: {whole}$"):
        checked(job, JobRecord(), half)


def test_an_outdated_path_is_refused(with_offsets, commit, state):
    commit(TABLE, A, 7)
    path = state(f"checkpoints/trips.bronze/{A}/chk-6", 6)
    with pytest.raises(AirflowFailException, match=f"is not started from {path}: that would duplicate rows") as error:
        checked(with_offsets, JobRecord(), path)
    assert_options(error, offsets=True)


def assert_options(error, offsets: bool) -> None:
    text = str(error.value)
    assert all(way in text for way in ("restore the state", "action restart", "DAG replay"))
    assert ("start_after_last_row" in text) is offsets
