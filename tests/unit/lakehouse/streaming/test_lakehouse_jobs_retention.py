"""States that no restart needs are old; states that may be needed are kept, however old they are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from remembered import began

from lakehouse.streaming.record import JobRecord, RolledBack
from lakehouse.streaming.retention import KEPT, old_states
from lakehouse.streaming.state import saved_states

LIVE, GONE, LONG_GONE = "1f" * 16, "2e" * 16, "3d" * 16
HOUR_S = 3600
SAVEPOINT = f"savepoints/trips.bronze/savepoint-{LONG_GONE[:6]}-aa"


@pytest.fixture
def states(state) -> dict[str, str]:
    """States of three runs and a savepoint between the first two: path below the state folder -> path."""
    ages_h = {
        f"checkpoints/trips.bronze/{LONG_GONE}/chk-1": 30,
        f"checkpoints/trips.bronze/{LONG_GONE}/chk-2": 29,
        SAVEPOINT: 28,
        f"checkpoints/trips.bronze/{GONE}/chk-4": 20,
        f"checkpoints/trips.bronze/{GONE}/chk-5": 19,
        **{f"checkpoints/trips.bronze/{LIVE}/chk-{number}": 20 - number for number in range(6, 6 + KEPT)},
    }
    return {path: state(path, number, age_s=age * HOUR_S) for number, (path, age) in enumerate(ages_h.items(), 1)}


def old(job, record: JobRecord | None = None, live: str | None = LIVE, older_h: float = -1) -> list[str]:
    """Old folders, relative to the state folder, at least `older_h` hours older than the newest state."""
    before = saved_states(job)[0].written_at - older_h * HOUR_S
    return [found.path.split("/flink/")[1] for found in old_states(job, record or JobRecord(), live, before)]


def test_runs_that_have_ended(job, states):
    assert sorted(old(job)) == [f"checkpoints/trips.bronze/{GONE}", f"checkpoints/trips.bronze/{LONG_GONE}", SAVEPOINT]


def test_a_run_with_a_recent_state_is_kept_completely(job, states):
    assert sorted(old(job, older_h=7.5)) == [f"checkpoints/trips.bronze/{LONG_GONE}", SAVEPOINT]


def test_the_live_run_is_kept_however_old_it_is(job, states):
    assert f"checkpoints/trips.bronze/{GONE}" not in old(job, live=GONE)
    assert f"checkpoints/trips.bronze/{LIVE}" not in old(job, live=GONE)  # the newest


def test_the_newest_states_are_kept_if_no_job_runs(job, state):
    for number in range(1, KEPT + 3):
        state(f"savepoints/trips.bronze/savepoint-{number:06}-aa", number, age_s=(100 - number) * HOUR_S)
    assert old(job, live=None) == [f"savepoints/trips.bronze/savepoint-{number:06}-aa" for number in (2, 1)]


def test_states_in_the_record_are_kept(job, states):
    assert SAVEPOINT not in old(
        job, JobRecord(rolled_back=RolledBack(fingerprint="f", reason="why", savepoint=states[SAVEPOINT]))
    )
    assert SAVEPOINT not in old(job, JobRecord(starts=(began(LIVE, states[SAVEPOINT]),)))
    earlier = (
        began(GONE, states[SAVEPOINT]),
        began(LIVE, states[f"checkpoints/trips.bronze/{GONE}/chk-5"]),
    )
    assert old(job, JobRecord(starts=earlier)) == [SAVEPOINT, f"checkpoints/trips.bronze/{LONG_GONE}"]


def test_removal_includes_shared_files_and_can_be_repeated(job, states, tmp_path):
    shared = tmp_path / "flink" / "checkpoints" / "trips.bronze" / GONE / "shared" / "sst"
    shared.parent.mkdir()
    shared.write_bytes(b"x" * 100)
    found = {Path(state.path).name: state for state in old_states(job, JobRecord(), LIVE, time.time())}
    header = shared.parents[1] / "chk-4" / "_metadata"
    assert (found[GONE].files, found[GONE].bytes) == (3, 100 + 2 * header.stat().st_size)
    for state in found.values():
        state.remove()
        state.remove()
    assert not shared.exists()
    assert {state.job_id for state in saved_states(job)} == {LIVE}
