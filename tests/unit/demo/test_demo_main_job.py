"""The main job counts what became of its own trips, and trusts no run of `flink_jobs` that began with other settings."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from demo.main_job import GENERATOR_DAG, GOLD_DAG, JOBS_DAG, TABLES, MainJob, Trips
from local.progress import Progress

JUDGED = {"events": 10, "reasons": {"low": 3}, "window": ["from", "to"]}


class Api:
    """An Airflow in which a run of `flink_jobs` is under way until somebody has looked at it."""

    def __init__(self) -> None:
        self.under_way: list[str | None] = ["began before"]

    def is_known(self, *dag_ids: str) -> bool:
        return set(dag_ids) == {JOBS_DAG, GENERATOR_DAG, GOLD_DAG}

    def active_run(self, dag_id: str) -> str | None:
        return self.under_way.pop() if self.under_way else None

    def trigger(self, dag_id: str, conf: dict) -> str:
        return "of our own"

    def state(self, dag_id: str, run: str) -> str:
        return "success"


@pytest.fixture
def job() -> MainJob:
    return MainJob(Api(), Progress())


def test_the_run_that_is_under_way_deploys_the_jobs(job):
    assert job.deploy() == "began before"


def test_a_run_that_began_with_other_settings_is_waited_for_and_not_counted(job):
    assert job.deploy(after_restart=True) == "of our own"


def test_trips_that_were_rejected_earlier_are_not_those_of_this_run(job, monkeypatch):
    found = iter([Counter(low=5, odd=2), Counter(low=8, odd=2)])
    places = SimpleNamespace(events=0, rows=dict.fromkeys(TABLES.values(), 0).__getitem__)
    monkeypatch.setattr(job, "_rejects", lambda: next(found))
    monkeypatch.setattr(job, "ledger_at_rest", lambda: places)
    monkeypatch.setattr(job, "_expect", lambda trips, before: (JUDGED, {"silver": 7}))
    monkeypatch.setattr(job, "send", lambda trips: (0.0, {"produce": 1.0}))
    monkeypatch.setattr(job, "build", lambda: (2.0, 1.0))
    monkeypatch.setattr(job, "count", lambda: ({"silver": 7}, True))

    outcome = job.run(Trips(events=10))

    assert outcome.rejects == {"low": 3}
    assert (outcome.sent, outcome.rejected, outcome.window) == (10, 3, ("from", "to"))
    assert outcome.right
    assert not outcome.mostly_rejected
