"""One look at the whole platform: what is seen decides, and what cannot be seen changes nothing."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.alerting import watch as module
from lakehouse.alerting.alarms import Alarm
from lakehouse.alerting.watch import watch
from lakehouse.streaming.health import JobHealth

FINE = JobHealth("bronze", "RUNNING", 0, 0, 1.0, {}, {}, 0, 1.0, 1.0, 0, 0.0)
LONG_AGO = 1_000_000.0


@pytest.fixture
def platform(monkeypatch):
    """A platform that is fine until a part of it is changed, and what is known of its alarms."""
    platform = SimpleNamespace(
        jobs={"bronze": FINE, "silver": replace(FINE, job="silver")},
        ledger=[],
        unused=False,
        known={},
        told=[],
        successes=0,
    )

    def look(flow, limits):
        if isinstance(platform.jobs[flow.job], Exception):
            raise platform.jobs[flow.job]
        return platform.jobs[flow.job]

    monkeypatch.setattr(module, "check", look)
    monkeypatch.setattr(module, "read_ledger", lambda topic: SimpleNamespace(errors=platform.ledger))
    monkeypatch.setattr(module, "nothing_to_judge", lambda: platform.unused)
    monkeypatch.setattr(module, "AlarmStore", lambda: platform.known)

    def deliver(title, message, kind="failure"):
        platform.told.append(title)
        return True

    real = module.Alarms
    monkeypatch.setattr(module, "Alarms", lambda known: real(known, deliver))
    return platform


def since_long(reason: str, **more) -> dict:
    return asdict(Alarm(reason, LONG_AGO, **more))


def look(platform) -> list[str]:
    def count(dag_id, task_ids, states):
        assert (dag_id, task_ids, states) == ("flink_jobs", ["check_health"], ["success"])
        return platform.successes

    return watch(count)


def test_when_all_is_well_nothing_is_said_or_kept(platform, caplog):
    assert look(platform) == []
    assert (platform.known, platform.told, caplog.records) == ({}, [], [])


def test_what_is_wrong_is_kept_until_it_has_lasted(platform):
    platform.jobs["silver"] = JobHealth("silver", "MISSING", 0, 0, None, {})
    assert look(platform) == []
    assert set(platform.known) == {"job-missing.silver"}
    platform.known["job-missing.silver"]["since"] -= 90
    assert look(platform) == ["job-missing.silver"]
    assert platform.told == ["ALARM job-missing: silver"]


def test_the_ledger_counts(platform):
    platform.known["ledger.platform"] = since_long("x")
    platform.ledger = ["Silver holds 3 rows more than Bronze"]
    assert look(platform) == ["ledger.platform"]


def test_what_cannot_be_seen_stays_as_it_was(platform):
    """The other job, which can be seen, is judged."""
    platform.known |= {
        "lag.bronze": since_long("many rows", rang=True, told=True),
        "lag.silver": since_long("many rows", rang=True, told=True),
        "ledger.platform": since_long("doubled", rang=True, told=True),
        "unreachable.platform": since_long("x"),
    }
    platform.jobs["bronze"] = FlinkError("The Flink JobManager cannot be reached")
    assert look(platform) == ["lag.bronze", "ledger.platform", "unreachable.platform"]
    assert platform.told == ["OK lag: silver", "ALARM unreachable: platform"]
    assert "JobManager" in platform.known["unreachable.platform"]["reason"]


def test_what_hides_both_jobs_is_said_once(platform):
    platform.jobs = dict.fromkeys(platform.jobs, FlinkError("Kafka does not answer"))
    look(platform)
    assert platform.known["unreachable.platform"]["reason"] == "Kafka does not answer"


def test_before_the_first_event_nothing_is_judged(platform):
    platform.unused = True
    platform.jobs["bronze"] = FlinkError("no job yet")
    assert look(platform) == []
    assert platform.known == {}


@pytest.mark.parametrize(("successes", "told"), [(7, []), (8, ["OK task-failed: flink_jobs.check_health"])])
def test_a_failed_task_is_over_when_airflow_counts_one_more_success(platform, successes, told):
    ended_by = {"dag_id": "flink_jobs", "task_id": "check_health", "successes": 7}
    name = "task-failed.flink_jobs.check_health"
    platform.known[name] = since_long("no checkpoint", rang=True, told=True, ended_by=ended_by)
    platform.successes = successes
    assert look(platform) == ([] if told else [name])
    assert platform.told == told


def test_a_failed_task_that_nobody_heard_of_is_told_later(platform):
    ended_by = {"dag_id": "flink_jobs", "task_id": "check_health", "successes": 0}
    platform.known["task-failed.flink_jobs.check_health"] = since_long("x", rang=True, ended_by=ended_by)
    look(platform)
    look(platform)
    assert platform.told == ["ALARM task-failed: flink_jobs.check_health"]
