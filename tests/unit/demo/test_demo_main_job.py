"""The main job counts the results of its own trips, and does not rely on runs of `flink_jobs` with other settings."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from demo.main_job import GENERATOR_DAG, GOLD_DAG, JOBS_DAG, TABLES, MainJob, Trips
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable
from local.config import PlatformError
from local.progress import Progress

JUDGED = {"events": 10, "reasons": {"low": 3}, "window": ["from", "to"]}


class Api:
    """An Airflow in which a run of `flink_jobs` began at second 100."""

    def is_known(self, *dag_ids: str) -> bool:
        return set(dag_ids) == {JOBS_DAG, GENERATOR_DAG, GOLD_DAG}

    def active_run(self, dag_id: str, since: float) -> str | None:
        return "under way" if since <= 100 else None

    def trigger(self, dag_id: str, conf: dict) -> str:
        return "of our own"

    def state(self, dag_id: str, run: str) -> str:
        return "running" if dag_id == GOLD_DAG else "success"

    def tasks(self, dag_id: str, run: str) -> dict:
        published = {"state": "success", "end_date": datetime.now(UTC)}
        return {"publish": published, "check_flink_health": published}


@pytest.fixture
def job() -> MainJob:
    return MainJob(Api(), Progress())


@pytest.mark.parametrize(("up_since", "run"), [(0, "under way"), (99, "under way"), (101, "of our own")])
def test_a_run_that_began_before_the_platform_was_started_does_not_count(job, up_since, run):
    job.up_since = up_since
    assert job.deploy() == run


def test_gold_counts_as_built_when_it_is_published(job):
    """The run goes on: its tasks for each model have yet to say how they went."""
    published_at, took_s = job.build()
    assert published_at == pytest.approx(time.time(), abs=60)
    assert took_s < 60


def test_a_service_that_does_not_answer_in_time_is_asked_again(job):
    answers = iter([ServiceUnavailable("busy"), None, "at last"])

    def probe() -> str | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert job.wait(probe, "an answer", 60) == "at last"
    answers = iter(lambda: ServiceUnavailable("busy"), None)
    with pytest.raises(PlatformError, match=r"waited 0 s for an answer \(busy\)\. Next: make status"):
        job.wait(probe, "an answer", 0)


def test_earlier_rejected_trips_are_not_counted(job, monkeypatch):
    found = iter([Counter(low=5, odd=2), Counter(low=8, odd=2)])
    places = SimpleNamespace(events=0, rows=dict.fromkeys(TABLES.values(), 0).__getitem__)
    monkeypatch.setattr(job, "_rejects", lambda: next(found))
    monkeypatch.setattr(job, "ledger_at_rest", lambda: places)
    monkeypatch.setattr(job, "_expect", lambda trips, before: (JUDGED, {"silver": 7}))
    monkeypatch.setattr(job, "send", lambda trips: (0.0, {"produce": 1.0}))
    monkeypatch.setattr(job, "build", lambda: (2.0, 1.0))
    monkeypatch.setattr(job, "await_stage", lambda name: 3.0)
    monkeypatch.setattr(job, "count", lambda: ({"silver": 7, "late_trips": 1}, True))
    monkeypatch.setattr(job, "live_view", lambda: None)

    outcome = job.run(Trips(events=10))

    assert outcome.rejects == {"low": 3}
    assert (outcome.sent, outcome.rejected, outcome.window) == (10, 3, ("from", "to"))
    assert outcome.phases_s == {"produce": 1.0, "gold": 1.0, "end_to_end": 2.0, "live": 3.0}
    assert outcome.right
    assert not outcome.mostly_rejected
