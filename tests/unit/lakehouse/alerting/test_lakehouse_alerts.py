"""An alert fires once and is resolved once, and what is known of it outlives whoever evaluated it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from lakehouse.alerting import alerts as module
from lakehouse.alerting.alerts import PLATFORM, Alert, Alerts, AlertStore, FailedTask

LAG = "lag.nyc_taxi.bronze"
WORDS = "12,345 rows wait"


class Watch:
    """Looks at one condition minute by minute, each time as a new process would: through what was kept as JSON."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.kept = "{}"
        self.told: list[tuple[str, dict]] = []
        self.channel_works = True

    def alerts(self, known: dict, *names: str) -> Alerts:
        return Alerts(known, names or [LAG], self.notify, lambda: self.now)

    def notify(self, title: str, message: dict, kind: str = "failure") -> bool:
        assert kind == ("success" if title.startswith("RESOLVED") else "failure")
        if self.channel_works:
            self.told.append((title, message))
        return self.channel_works

    def look(self, reason: str | None = None, after_s: float = 60, lasts_s: float = 300) -> list[str]:
        """The titles of the messages of this look."""
        self.now += after_s
        before = len(self.told)
        known = json.loads(self.kept)
        self.alerts(known).observe(LAG, reason, lasts_s)
        self.kept = json.dumps(known)
        return [title for title, _ in self.told[before:]]


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_one_message_at_the_start_one_at_the_end_none_between(watch):
    assert [watch.look(WORDS) for _ in range(12)] == [[]] * 5 + [["ALERT lag: nyc_taxi.bronze"]] + [[]] * 6
    assert watch.look(None) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert [watch.look(None) for _ in range(3)] == [[]] * 3
    assert watch.kept == "{}"


@pytest.mark.parametrize(("after_s", "fires"), [(299, False), (300, True)])
def test_it_must_last(watch, after_s, fires):
    watch.look(WORDS)
    assert bool(watch.look(WORDS, after_s=after_s)) == fires


def test_nobody_is_notified_of_what_does_not_last(watch):
    for _ in range(4):
        assert watch.look(WORDS) == []
    assert watch.look(None) == []
    assert [watch.look(WORDS) for _ in range(5)] == [[]] * 5  # the time counts from scratch


def test_some_fire_at_once(watch):
    assert watch.look(WORDS, lasts_s=0) == ["ALERT lag: nyc_taxi.bronze"]


def test_what_the_messages_say(watch):
    watch.look("10,001 rows wait")
    watch.look(WORDS, after_s=300)
    watch.look(None, after_s=90)
    (_, fired), (_, resolved) = watch.told
    since = "1970-01-12 13:47:40 UTC"
    assert fired == {"message": WORDS, "pipeline": "nyc_taxi", "since": since, "runbook": "docs/runbook.md#lag"}
    assert resolved == {**fired, "message": f"resolved after 0:06:30; it was: {WORDS}"}


def test_a_channel_that_is_down_delays_the_start(watch):
    watch.channel_works = False
    watch.look(WORDS, lasts_s=0)
    watch.look(WORDS)
    watch.channel_works = True
    assert watch.look(WORDS) == ["ALERT lag: nyc_taxi.bronze"]
    assert watch.look(WORDS) == []


def test_a_channel_that_is_down_delays_the_end(watch):
    watch.look(WORDS, lasts_s=0)
    watch.channel_works = False
    watch.look(None)
    watch.channel_works = True
    assert watch.look(None, after_s=3_600) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert watch.told[-1][1]["message"].startswith(
        "resolved after 0:01:00"
    )  # when it ended, not when people were notified
    assert watch.look(None) == []


def test_of_what_came_and_went_while_the_channel_was_down_there_is_one_message(watch):
    watch.channel_works = False
    watch.look(WORDS, lasts_s=0)
    watch.look(None)
    watch.channel_works = True
    assert watch.look(None) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert watch.look(None) == []


def test_what_is_back_before_its_end_was_notified_goes_on(watch):
    watch.look(WORDS, lasts_s=0)
    watch.channel_works = False
    watch.look(None)
    watch.channel_works = True
    assert watch.look(WORDS) == []
    assert watch.look(None) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert watch.told[-1][1]["message"].startswith("resolved after 0:03:00")


@pytest.mark.parametrize(
    ("reason", "title"), [(WORDS, "ALERT lag: nyc_taxi.bronze"), (None, "RESOLVED lag: nyc_taxi.bronze")]
)
def test_two_looks_at_once_do_no_harm(watch, reason, title):
    """At worst both notify of the same; what is kept is right, and the next look is silent."""
    watch.look(WORDS)
    if reason is None:
        watch.look(WORDS, after_s=300)
    watch.told.clear()
    watch.now += 300
    known = json.loads(watch.kept)
    both = watch.alerts(known), watch.alerts(known)
    for look in both:
        look.observe(LAG, reason, 300)
    watch.kept = json.dumps(known)
    assert {told for told, _ in watch.told} == {title}
    assert watch.look(reason) == []


def test_which_are_firing(watch):
    known, silver, missing = {}, "lag.nyc_taxi.silver", "job-missing.nyc_taxi.bronze"
    alerts = watch.alerts(known, silver, missing)
    alerts.observe(silver, WORDS, 300)
    alerts.observe(missing, WORDS, 0)
    assert alerts.firing == [missing]
    alerts.observe(missing, None)
    assert alerts.firing == []
    assert set(known) == {silver}


def test_those_of_others_are_neither_read_nor_changed(watch):
    """A pipeline's evaluation must not fail at what another one's, or somebody by hand, has stored."""
    known = {"lag.meters.sorted": {"what": "is this"}}
    alerts = watch.alerts(known, LAG)
    alerts.observe(LAG, WORDS)
    assert [name for name, _ in alerts] == alerts.firing == [LAG]
    assert known["lag.meters.sorted"] == {"what": "is this"}


def test_what_the_version_before_has_stored_goes_on(watch):
    """Its names of the fields are read, and written as they are called now."""
    before = {"reason": WORDS, "since": watch.now - 400, "rang": True, "told": True, "over": None, "ended_by": None}
    watch.kept = json.dumps({LAG: before})
    assert watch.look(WORDS) == []
    assert watch.look(None) == ["RESOLVED lag: nyc_taxi.bronze"]
    assert watch.told[-1][1]["message"].startswith("resolved after 0:08:40")
    failed = {"dag_id": "flink_jobs", "task_id": "deploy_bronze", "successes": 7}
    alert = Alert.model_validate({**before, "told": False, "over": 5.0, "ended_by": failed})
    assert (alert.fired, alert.notified, alert.firing, alert.resolved_at) == (True, False, False, 5.0)
    assert alert.resolved_by == FailedTask(dag_id="flink_jobs", task_id="deploy_bronze")
    assert alert.pipeline == PLATFORM
    assert {"rang", "told", "over", "ended_by"}.isdisjoint(alert.model_dump())


def test_alerts_are_variables_whose_names_begin_alike(monkeypatch):
    """As an existing platform has them, and as the runbook tells people to find them."""
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
