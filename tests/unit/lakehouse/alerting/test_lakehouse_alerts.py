"""An alert fires once and is resolved once, and its state survives the process that evaluated it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from lakehouse.alerting import alerts as module
from lakehouse.alerting.alerts import PLATFORM, Alert, Alerts, AlertStore, FailedTask

LAG = "lag.nyc_taxi.bronze"
REASON = "12,345 rows wait"


class Watch:
    """Evaluates one condition minute by minute, each time as a new process would: from the state stored as JSON."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.kept = "{}"
        self.messages: list[tuple[str, dict]] = []
        self.channel_works = True

    def alerts(self, known: dict, *names: str) -> Alerts:
        return Alerts(known, names or [LAG], self.notify, lambda: self.now)

    def notify(self, title: str, message: dict, kind: str = "failure") -> bool:
        assert kind == ("success" if title.startswith("RESOLVED") else "failure")
        if self.channel_works:
            self.messages.append((title, message))
        return self.channel_works

    def evaluate(self, reason: str | None = None, after_s: float = 60, lasts_s: float = 300) -> list[str]:
        """The titles of the messages of this evaluation."""
        self.now += after_s
        before = len(self.messages)
        known = json.loads(self.kept)
        self.alerts(known).observe(LAG, reason, lasts_s)
        self.kept = json.dumps(known)
        return [title for title, _ in self.messages[before:]]


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_one_message_at_the_start_one_at_the_end_none_between(watch):
    assert [watch.evaluate(REASON) for _ in range(12)] == [[]] * 5 + [["ALERT lag: nyc_taxi.bronze"]] + [[]] * 6
    assert watch.evaluate(None) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert [watch.evaluate(None) for _ in range(3)] == [[]] * 3
    assert watch.kept == "{}"


@pytest.mark.parametrize(("after_s", "fires"), [(299, False), (300, True)])
def test_the_condition_must_last(watch, after_s, fires):
    watch.evaluate(REASON)
    assert bool(watch.evaluate(REASON, after_s=after_s)) == fires


def test_nobody_is_notified_of_a_condition_that_does_not_last(watch):
    for _ in range(4):
        assert watch.evaluate(REASON) == []
    assert watch.evaluate(None) == []
    assert [watch.evaluate(REASON) for _ in range(5)] == [[]] * 5  # the time counts from scratch


def test_some_alerts_fire_at_once(watch):
    assert watch.evaluate(REASON, lasts_s=0) == ["ALERT lag: nyc_taxi.bronze"]


def test_the_messages(watch):
    watch.evaluate("10,001 rows wait")
    watch.evaluate(REASON, after_s=300)
    watch.evaluate(None, after_s=90)
    (_, fired), (_, resolved) = watch.messages
    since = "1970-01-12 13:47:40 UTC"
    assert fired == {"message": REASON, "pipeline": "nyc_taxi", "since": since, "runbook": "docs/runbook.md#lag"}
    assert resolved == {**fired, "message": f"resolved after 0:06:30; it was: {REASON}"}


def test_a_channel_that_is_down_delays_the_alert(watch):
    watch.channel_works = False
    watch.evaluate(REASON, lasts_s=0)
    watch.evaluate(REASON)
    watch.channel_works = True
    assert watch.evaluate(REASON) == ["ALERT lag: nyc_taxi.bronze"]
    assert watch.evaluate(REASON) == []


def test_a_channel_that_is_down_delays_the_resolution(watch):
    watch.evaluate(REASON, lasts_s=0)
    watch.channel_works = False
    watch.evaluate(None)
    watch.channel_works = True
    assert watch.evaluate(None, after_s=3_600) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert watch.messages[-1][1]["message"].startswith(
        "resolved after 0:01:00"
    )  # when it ended, not when people were notified
    assert watch.evaluate(None) == []


def test_a_condition_that_came_and_went_while_the_channel_was_down_has_one_message(watch):
    watch.channel_works = False
    watch.evaluate(REASON, lasts_s=0)
    watch.evaluate(None)
    watch.channel_works = True
    assert watch.evaluate(None) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert watch.evaluate(None) == []


def test_a_condition_that_is_back_before_its_resolution_was_sent_is_the_same_alert(watch):
    watch.evaluate(REASON, lasts_s=0)
    watch.channel_works = False
    watch.evaluate(None)
    watch.channel_works = True
    assert watch.evaluate(REASON) == []
    assert watch.evaluate(None) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert watch.messages[-1][1]["message"].startswith("resolved after 0:03:00")


@pytest.mark.parametrize(
    ("reason", "title"), [(REASON, "ALERT lag: nyc_taxi.bronze"), (None, "RESOLVED lag: nyc_taxi.bronze")]
)
def test_two_evaluations_at_once_do_no_harm(watch, reason, title):
    """At worst both send the message; the stored state is right, and the next evaluation is silent."""
    watch.evaluate(REASON)
    if reason is None:
        watch.evaluate(REASON, after_s=300)
    watch.messages.clear()
    watch.now += 300
    known = json.loads(watch.kept)
    both = watch.alerts(known), watch.alerts(known)
    for look in both:
        look.observe(LAG, reason, 300)
    watch.kept = json.dumps(known)
    assert {sent for sent, _ in watch.messages} == {title}
    assert watch.evaluate(reason) == []


def test_which_alerts_are_firing(watch):
    known, silver, missing = {}, "lag.nyc_taxi.silver", "job-missing.nyc_taxi.bronze"
    alerts = watch.alerts(known, silver, missing)
    alerts.observe(silver, REASON, 300)
    alerts.observe(missing, REASON, 0)
    assert alerts.firing == [missing]
    alerts.observe(missing, None)
    assert alerts.firing == []
    assert set(known) == {silver}


def test_alerts_of_others_are_neither_read_nor_changed(watch):
    """A pipeline's evaluation must not fail because of what another one, or a person, has stored."""
    known = {"lag.meters.sorted": {"what": "is this"}}
    alerts = watch.alerts(known, LAG)
    alerts.observe(LAG, REASON)
    assert [name for name, _ in alerts] == alerts.firing == [LAG]
    assert known["lag.meters.sorted"] == {"what": "is this"}


def test_alerts_stored_by_the_previous_version_continue(watch):
    """Fields are read by their old names, and written by the new ones."""
    before = {"reason": REASON, "since": watch.now - 400, "rang": True, "told": True, "over": None, "ended_by": None}
    watch.kept = json.dumps({LAG: before})
    assert watch.evaluate(REASON) == []
    assert watch.evaluate(None) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert watch.messages[-1][1]["message"].startswith("resolved after 0:08:40")
    failed = {"dag_id": "flink_jobs", "task_id": "deploy_bronze", "successes": 7, "by_hand": "manual__1"}
    alert = Alert.model_validate({**before, "told": False, "over": 5.0, "ended_by": failed})
    assert (alert.fired, alert.notified, alert.firing, alert.resolved_at) == (True, False, False, 5.0)
    assert alert.resolved_by == FailedTask(dag_id="flink_jobs", task_id="deploy_bronze", manual_run_id="manual__1")
    assert alert.pipeline == PLATFORM
    assert {"rang", "told", "over", "ended_by"}.isdisjoint(alert.model_dump())


def test_alerts_are_variables_with_a_common_prefix(monkeypatch):
    """The prefix of existing platforms, which the runbook names."""
    variables = {"alarm.lag.nyc_taxi.bronze": "{}", "flink_state_dir": "file:///flink"}

    class Variables:
        @staticmethod
        def keys(prefix: str) -> list[str]:
            return [key for key in variables if key.startswith(prefix)]

        @staticmethod
        def get(key: str, default: object, deserialize_json: bool) -> object:
            return json.loads(variables[key]) if key in variables else default

        @staticmethod
        def set(key: str, value: object, description: str, serialize_json: bool) -> None:
            variables[key] = json.dumps(value)

    monkeypatch.setattr(module, "Variable", Variables)
    assert list(AlertStore()) == ["lag.nyc_taxi.bronze"]
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    failed = FailedTask(dag_id="flink_jobs", task_id="nyc_taxi.deploy_bronze", logical_date=moment)
    name = "task-failed.flink_jobs.nyc_taxi.deploy_bronze"
    assert module.is_firing(name) is False
    module.fire(name, "no", "nyc_taxi", True, failed)
    assert module.is_firing(name) is True
    stored = Alert.model_validate_json(variables[f"alarm.{name}"])
    assert stored.resolved_by == failed
