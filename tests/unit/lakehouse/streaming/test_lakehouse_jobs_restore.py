"""What a job starts from: the newest state that fits its tables, or nothing on empty tables, or not at all."""

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


def test_a_state_serves_also_while_the_tables_are_empty(job, empty, state):
    path = state(f"checkpoints/trips.bronze/{A}/chk-1", 1)
    assert state_to_restore(job, JobRecord()) == path


def test_the_newest_that_fits_serves(job, commit, state):
    """What is newer but of a stranger, or older than the tables, is passed over."""
    commit(TABLE, A, 7)
    commit(OTHER, A, 6)
    state(f"checkpoints/trips.bronze/{STRANGER}/chk-50", 50, age_s=1)
    fits = state(f"checkpoints/trips.bronze/{A}/chk-7", 7, age_s=5)
    state(f"checkpoints/trips.bronze/{A}/chk-6", 6, age_s=2)
    assert state_to_restore(job, JobRecord()) == fits


def test_after_a_roll_back_the_savepoint_before_it_serves(job, commit, state):
    commit(TABLE, A, 7)
    before = state("savepoints/trips.bronze/savepoint-aaaaaa-1", 8, age_s=60)
    newest = state(f"checkpoints/trips.bronze/{B}/chk-9", 9, age_s=1)
    starts = began(A), began(B, before)
    assert state_to_restore(job, JobRecord(starts=starts)) == newest
    refused = RolledBack(fingerprint="f00d", reason="", savepoint=before)
    assert state_to_restore(job, JobRecord(rolled_back=refused, starts=starts)) == before
    commit(TABLE, B, 9)
    assert state_to_restore(job, JobRecord(rolled_back=refused, starts=starts)) == newest


def test_rows_without_state_forbid_a_start(job, commit):
    commit(TABLE, A, 7, rows=1_200)
    commit(OTHER, A, 7, rows=34)
    why = r"no checkpoint or savepoint under file:.*/flink\. A start would write rows again"
    with pytest.raises(AirflowException, match=rf"hold 1,234 rows, and there is {why}") as error:
        state_to_restore(job, JobRecord())
    assert_ways_on(error, offsets=False)


def test_rows_with_a_state_that_is_too_old_forbid_it_too(with_offsets, commit, state):
    commit(TABLE, A, 7)
    state(f"checkpoints/trips.bronze/{A}/chk-6", 6)
    with pytest.raises(AirflowException, match=r"raw_trips holds everything up to checkpoint 7, .*chk-6") as error:
        state_to_restore(with_offsets, JobRecord())
    assert_ways_on(error, offsets=True)


def test_rows_of_one_table_are_enough(job, commit, fill):
    fill(TABLE, 0)
    commit(OTHER)
    with pytest.raises(AirflowException, match="hold 1 rows"):
        state_to_restore(job, JobRecord())


def test_a_path_that_fits(job, commit, state):
    commit(TABLE, A, 7)
    path = state(f"checkpoints/trips.bronze/{A}/chk-7", 7)
    assert checked(job, JobRecord(), path) == path
    backup = state("savepoints/other/savepoint-aaaaaa-1", 8)
    assert checked(job, JobRecord(), f"{backup}/") == checked(job, JobRecord(), backup.replace("///", "/")) == backup


def test_a_path_with_no_complete_state_names_those_that_are(job, iceberg, state):
    whole = state(f"checkpoints/trips.bronze/{A}/chk-7", 7, age_s=9)
    half = state(f"checkpoints/trips.bronze/{A}/chk-8", 8, size=3)
    with pytest.raises(AirflowFailException, match=rf"no complete .* at {half}. The newest are: {whole}$"):
        checked(job, JobRecord(), half)


def test_a_path_that_is_too_old_is_refused(with_offsets, commit, state):
    commit(TABLE, A, 7)
    path = state(f"checkpoints/trips.bronze/{A}/chk-6", 6)
    with pytest.raises(AirflowFailException, match=f"is not started from {path}: it would write rows again") as error:
        checked(with_offsets, JobRecord(), path)
    assert_ways_on(error, offsets=True)


def assert_ways_on(error, offsets: bool) -> None:
    text = str(error.value)
    assert all(way in text for way in ("put the state back", "action restart", "DAG replay"))
    assert ("start_after_last_row" in text) is offsets
