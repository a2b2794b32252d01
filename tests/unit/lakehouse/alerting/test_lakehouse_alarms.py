"""An alarm begins once and ends once, and what is known of it outlives whoever looked."""

from __future__ import annotations

import json

import pytest

from lakehouse.alerting.alarms import Alarms

LAG = "lag.bronze"
WORDS = "12,345 rows wait"


class Watch:
    """Looks at one condition minute by minute, each time as a new process would: through what was kept as JSON."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.kept = "{}"
        self.told: list[tuple[str, dict]] = []
        self.channel_works = True

    def alarms(self, known: dict) -> Alarms:
        return Alarms(known, self.tell, lambda: self.now)

    def tell(self, title: str, message: dict, kind: str = "failure") -> bool:
        assert kind == ("success" if title.startswith("OK") else "failure")
        if self.channel_works:
            self.told.append((title, message))
        return self.channel_works

    def look(self, reason: str | None = None, after_s: float = 60, lasts_s: float = 300) -> list[str]:
        """The titles of what is told by this look."""
        self.now += after_s
        before = len(self.told)
        known = json.loads(self.kept)
        self.alarms(known).observe(LAG, reason, lasts_s)
        self.kept = json.dumps(known)
        return [title for title, _ in self.told[before:]]


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_one_message_at_the_start_one_at_the_end_none_between(watch):
    assert [watch.look(WORDS) for _ in range(12)] == [[]] * 5 + [["ALARM lag: bronze"]] + [[]] * 6
    assert watch.look(None) == ["OK lag: bronze"]
    assert [watch.look(None) for _ in range(3)] == [[]] * 3
    assert watch.kept == "{}"


@pytest.mark.parametrize(("after_s", "rings"), [(299, False), (300, True)])
def test_it_must_last(watch, after_s, rings):
    watch.look(WORDS)
    assert bool(watch.look(WORDS, after_s=after_s)) == rings


def test_what_does_not_last_is_told_to_nobody(watch):
    for _ in range(4):
        assert watch.look(WORDS) == []
    assert watch.look(None) == []
    assert [watch.look(WORDS) for _ in range(5)] == [[]] * 5  # the time counts anew


def test_some_ring_at_once(watch):
    assert watch.look(WORDS, lasts_s=0) == ["ALARM lag: bronze"]


def test_what_the_messages_say(watch):
    watch.look("10,001 rows wait")
    watch.look(WORDS, after_s=300)
    watch.look(None, after_s=90)
    (_, began), (_, over) = watch.told
    since = "1970-01-12 13:47:40 UTC"
    assert began == {"message": WORDS, "since": since, "runbook": "docs/runbook.md#lag"}
    assert over == {**began, "message": f"over after 0:06:30; it was: {WORDS}"}


def test_a_channel_that_is_down_delays_the_start(watch):
    watch.channel_works = False
    watch.look(WORDS, lasts_s=0)
    watch.look(WORDS)
    watch.channel_works = True
    assert watch.look(WORDS) == ["ALARM lag: bronze"]
    assert watch.look(WORDS) == []


def test_a_channel_that_is_down_delays_the_end(watch):
    watch.look(WORDS, lasts_s=0)
    watch.channel_works = False
    watch.look(None)
    watch.channel_works = True
    assert watch.look(None, after_s=3_600) == ["OK lag: bronze"]
    assert watch.told[-1][1]["message"].startswith("over after 0:01:00")  # when it ended, not when it was told
    assert watch.look(None) == []


def test_what_came_and_went_while_the_channel_was_down_is_told_once(watch):
    watch.channel_works = False
    watch.look(WORDS, lasts_s=0)
    watch.look(None)
    watch.channel_works = True
    assert watch.look(None) == ["OK lag: bronze"]
    assert watch.look(None) == []


def test_what_is_back_before_its_end_was_told_goes_on(watch):
    watch.look(WORDS, lasts_s=0)
    watch.channel_works = False
    watch.look(None)
    watch.channel_works = True
    assert watch.look(WORDS) == []
    assert watch.look(None) == ["OK lag: bronze"]
    assert watch.told[-1][1]["message"].startswith("over after 0:03:00")


@pytest.mark.parametrize(("reason", "title"), [(WORDS, "ALARM lag: bronze"), (None, "OK lag: bronze")])
def test_two_looks_at_once_do_no_harm(watch, reason, title):
    """At worst both tell the same; what is kept is right, and the next look is silent."""
    watch.look(WORDS)
    if reason is None:
        watch.look(WORDS, after_s=300)
    watch.told.clear()
    watch.now += 300
    known = json.loads(watch.kept)
    both = watch.alarms(known), watch.alarms(known)
    for look in both:
        look.observe(LAG, reason, 300)
    watch.kept = json.dumps(known)
    assert {told for told, _ in watch.told} == {title}
    assert watch.look(reason) == []


def test_which_are_on(watch):
    known = {}
    alarms = watch.alarms(known)
    alarms.observe("lag.silver", WORDS, 300)
    alarms.observe("job-missing.bronze", WORDS, 0)
    assert alarms.on() == ["job-missing.bronze"]
    alarms.observe("job-missing.bronze", None)
    assert alarms.on() == []
    assert set(known) == {"lag.silver"}
