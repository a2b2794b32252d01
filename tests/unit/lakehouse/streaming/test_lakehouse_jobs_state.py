"""Which folders are states, which is the newest, and which would write rows again."""

from __future__ import annotations

import pytest
from remembered import began, committed

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.streaming.state import SavedState, last_commit, objection, read_state, saved_states, writer_of

A, B, C = ("a" * 32, "b" * 32, "c" * 32)
TABLE, OTHER = "bronze.raw_trips", "bronze.rejected_events"


def chk(job_id: str, checkpoint_id: int) -> SavedState:
    return SavedState(f"file:///flink/checkpoints/trips.bronze/{job_id}/chk-{checkpoint_id}", checkpoint_id, job_id, 0)


def savepoint(job_id: str, checkpoint_id: int) -> SavedState:
    path = f"file:///flink/savepoints/trips.bronze/savepoint-{job_id[:6]}-0a1b"
    return SavedState(path, checkpoint_id, job_id[:6], 0)


def test_a_state_is_read_from_its_metadata(state):
    path = state(f"checkpoints/trips.bronze/{A}/chk-7", 7, age_s=30)
    found = SavedState(path, 7, A, 1_700_000_000 - 30)
    assert read_state(path) == read_state(f"{path}/") == read_state(path.replace("///", "/")) == found


@pytest.mark.parametrize("broken", [{"size": 0}, {"size": 15}, {"magic": 0x4960672E}], ids=str)
def test_a_truncated_metadata_file_is_not_a_state(state, broken):
    assert read_state(state(f"checkpoints/trips.bronze/{A}/chk-7", 7, **broken)) is None


def test_a_folder_without_metadata_is_not_a_state(job, state, tmp_path):
    (tmp_path / f"flink/checkpoints/trips.bronze/{A}/chk-8").mkdir(parents=True)
    assert read_state(f"{job.checkpoint_dir}/{A}/chk-8") is None
    assert read_state("file:///nowhere/chk-1") is None
    assert saved_states(job) == []


def test_the_newest_comes_first_regardless_of_run_and_kind(job, state):
    oldest = state(f"checkpoints/trips.bronze/{B}/chk-99", 99, age_s=60)
    middle = state("savepoints/trips.bronze/savepoint-bbbbbb-0a1b", 11, age_s=40)
    newest = state(f"checkpoints/trips.bronze/{A}/chk-12", 12, age_s=20)
    state(f"checkpoints/trips.bronze/{A}/chk-13", 13, age_s=10, size=8)
    state(f"checkpoints/silver/{C}/chk-1", 1)
    state(f"checkpoints/trips.bronze/{A}/shared", 1)
    assert [found.path for found in saved_states(job)] == [newest, middle, oldest]


def test_with_equal_times_the_higher_id_is_newer(job, state):
    paths = [state(f"checkpoints/trips.bronze/{A}/chk-{number}", number) for number in (9, 10, 8)]
    assert [found.path for found in saved_states(job)] == [paths[1], paths[0], paths[2]]


@pytest.mark.parametrize(
    ("path", "job_id"),
    [
        (f"file:///f/checkpoints/trips.bronze/{A}/chk-7", A),
        (f"file:///f/checkpoints/trips.bronze/{A}/chk-7/", A),
        ("s3://bucket/savepoints/trips.bronze/savepoint-1f0c2d-9a8b7c6d5e4f", "1f0c2d"),
        ("file:///f/savepoints/trips.bronze/savepoint-1f0c2d-9a8b7c6d5e4f/", "1f0c2d"),
    ],
)
def test_the_path_contains_its_writer(path, job_id):
    assert writer_of(path) == job_id


def test_commits_of_maintenance_are_ignored(commit):
    commit(TABLE, A, 6)
    commit(TABLE, A, 7)
    commit(TABLE)
    commit(TABLE)
    assert last_commit(TABLE, IcebergCatalogHook().table(TABLE)) == committed(TABLE, A, 7)


def test_a_table_that_no_flink_job_wrote_to_has_no_commit(commit, fill):
    fill(OTHER, 0)
    commit(TABLE)
    assert last_commit(OTHER, IcebergCatalogHook().table(OTHER)) is None
    assert last_commit(TABLE, IcebergCatalogHook().table(TABLE)) is None


# B was started from A's savepoint, C from B's checkpoint.
STARTS = (
    began(A),
    began(B, savepoint(A, 8).path),
    began(C, chk(B, 12).path),
)


@pytest.mark.parametrize(
    ("state", "commits"),
    [
        (chk(A, 7), []),
        (chk(A, 7), [committed(TABLE, A, 6)]),
        (chk(A, 7), [committed(TABLE, A, 7)]),
        (savepoint(A, 8), [committed(TABLE, A, 8)]),
        (chk(B, 9), [committed(TABLE, A, 8)]),
        (chk(C, 13), [committed(TABLE, A, 8)]),
        (chk(C, 13), [committed(TABLE, B, 12), committed(OTHER, A, 2)]),
        (
            savepoint(C, 14),
            [committed(TABLE, A, 8), committed(OTHER, C, 14)],
        ),
    ],
    ids=str,
)
def test_a_descendant_state_that_is_as_new_as_its_tables_matches(state, commits):
    assert objection(state, commits, STARTS) is None


@pytest.mark.parametrize(
    ("state", "commits", "why"),
    [
        (
            chk(A, 7),
            [committed(TABLE, A, 8)],
            "contains everything up to checkpoint 8, but .*chk-7 is checkpoint 7",
        ),
        (
            chk(B, 9),
            [committed(TABLE, A, 10)],
            "contains everything up to checkpoint 10, but .*chk-9 is checkpoint 9",
        ),
        (
            savepoint(A, 8),
            [committed(TABLE, B, 9)],
            f"last written by Flink job {B}, and .*aaaaaa.* does not descend",
        ),
        (savepoint(A, 8), [committed(TABLE, B, 8)], f"last written by Flink job {B}"),
        (chk(B, 12), [committed(TABLE, C, 13)], f"last written by Flink job {C}"),
        (chk(A, 99), [committed(TABLE, "f" * 32, 1)], f"last written by Flink job {'f' * 32}"),
        (
            chk(A, 7),
            [committed(TABLE, A, 7), committed(OTHER, A, 8)],
            r"^bronze\.rejected_events contains",
        ),
        (
            chk(A, 7),
            [committed(TABLE, A, 7), committed(OTHER, B, 7)],
            r"^bronze\.rejected_events was last written",
        ),
    ],
    ids=str,
)
def test_any_other_state_would_write_rows_again(state, commits, why):
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(objection(state, commits, STARTS))


def test_a_start_without_state_after_the_tables_last_rows(job):
    """Its checkpoint ids start at 1 again, and a table with few rows may not get a commit of it for a long time."""
    held = committed(TABLE, A, 500), committed(OTHER, A, 480)
    starts = (
        began(A),
        began(B, None, held),
        began(C, chk(B, 3).path),
    )
    assert objection(chk(B, 2), [committed(TABLE, B, 1), held[1]], starts) is None
    assert objection(chk(C, 5), [committed(TABLE, C, 4), held[1]], starts) is None
    assert "checkpoint 3" in objection(chk(B, 2), [committed(TABLE, B, 3), held[1]], starts)
    assert "does not descend" in objection(chk(B, 2), [committed(TABLE, A, 501), held[1]], starts)
    assert "does not descend" in objection(chk(A, 500), [committed(TABLE, B, 1), held[1]], starts)
