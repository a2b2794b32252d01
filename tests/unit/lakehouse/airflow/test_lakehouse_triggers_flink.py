"""The event that a job is gone: fired after two polls, repeated while the job stays gone, and never without reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lakehouse.airflow.triggers import flink as triggers
from lakehouse.airflow.triggers.flink import FlinkJobGoneTrigger
from lakehouse.streaming import record as records
from lakehouse.streaming.job import JobState
from lakehouse.streaming.record import JobRecord


@pytest.fixture
def runs(http, connect) -> list[dict]:
    """The runs that the JobManager lists; Silver is running."""
    connect("flink_rest", port=http.server_port)
    listed = [listing("trips.silver")]
    http["GET /jobs/overview"] = lambda: {"jobs": listed}
    return listed


def listing(job: str, state: str = "RUNNING") -> dict:
    return {"jid": "1f0c", "name": job, "state": state, "start-time": 1}


@pytest.fixture
def events(runs, monkeypatch) -> Callable[..., list[list[str]]]:
    """The jobs named by each event in a number of polls, with events repeated after some seconds."""

    def events(looks: int = 6, again_s: float = 60) -> list[list[str]]:
        monkeypatch.setattr(triggers, "REPEATED_AFTER_S", again_s)
        trigger = FlinkJobGoneTrigger(["trips.bronze", "trips.silver"], poll_s=0)
        found, left, look = [], iter(range(looks)), trigger._gone

        def gone() -> set[str]:
            if next(left, None) is None:
                raise InterruptedError
            return look()

        async def collect() -> None:
            async for event in trigger.run():
                found.append(event.payload["gone"])

        monkeypatch.setattr(trigger, "_gone", gone)
        with pytest.raises(InterruptedError):
            asyncio.run(collect())
        return found

    return events


def test_a_job_that_is_gone_fires_the_trigger(events):
    assert events() == [["trips.bronze"]]


def test_two_jobs_share_an_event(events, runs):
    runs.clear()
    assert events() == [["trips.bronze", "trips.silver"]]


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "FINISHED"])
def test_one_that_ended_is_gone(events, runs, state):
    runs.append(listing("trips.bronze", state))
    assert events() == [["trips.bronze"]]


@pytest.mark.parametrize("state", ["RUNNING", "RESTARTING", "CREATED", "INITIALIZING"])
def test_a_live_job_is_not_gone(events, runs, state):
    runs.append(listing("trips.bronze", state))
    assert events() == []


def test_a_job_that_is_gone_for_a_moment_fires_nothing(events, runs, http):
    """Between two runs of an upgrade: every other poll finds it."""
    looks = iter(range(10_000))
    http["GET /jobs/overview"] = lambda: {"jobs": [*runs, *([listing("trips.bronze")] if next(looks) % 2 else [])]}
    assert events() == []


def test_a_suspended_job_fires_nothing(events, tmp_path):
    records.save(JobState("trips.bronze", (), f"file://{tmp_path}/flink"), JobRecord(suspended=True))
    assert events() == []


def test_a_damaged_record_does_not_silence_it(events, tmp_path):
    """The run that it triggers reports the damage."""
    records.save(JobState("trips.bronze", (), f"file://{tmp_path}/flink"), JobRecord())
    (tmp_path / "flink/jobs/trips.bronze.json").write_text("{")
    assert events() == [["trips.bronze"]]


def test_without_a_jobmanager_nothing_could_be_started(events, connect):
    connect("flink_rest", port=1)
    assert events() == []


def test_the_event_is_repeated_once_a_minute(events):
    assert events(10) == [["trips.bronze"]]
    assert events(4, again_s=0) == [["trips.bronze"]] * 3


def test_it_fires_at_once_if_the_job_was_live_in_between(events, runs, http):
    answers = iter([[], [], [listing("trips.bronze")], [], []])
    http["GET /jobs/overview"] = lambda: {"jobs": [*runs, *next(answers)]}
    assert events(5) == [["trips.bronze"]] * 2


def test_airflow_can_serialize_it():
    path, arguments = FlinkJobGoneTrigger(["bronze"], poll_s=3).serialize()
    assert path == "lakehouse.airflow.triggers.flink.FlinkJobGoneTrigger"
    assert FlinkJobGoneTrigger(**arguments).serialize() == (path, arguments)
