"""Alarms: one message when a condition has lasted long enough, one when it is over, none in between.

What is known of each condition is kept in an Airflow variable `alarm.<rule>.<subject>` as long as it lasts, so that it
outlives a restart and a retry. A variable, because the callback of a task that was killed runs in the DAG processor, which
reaches variables but neither the task nor the asset state store of Airflow; because the open ones can be listed in one
request; and because people see them in the UI (to forget an alarm, delete its variable).

A message that the channel did not take is tried again by the next evaluation. Two evaluations at once may tell something
twice; neither loses anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Variable

from lakehouse.alerting.channel import deliver, runbook


class AlarmStore(MutableMapping[str, dict[str, Any]]):
    """`<rule>.<subject>` -> what is known, in Airflow's variables. Works inside of tasks and of their callbacks."""

    def __getitem__(self, name: str) -> dict[str, Any]:
        found = Variable.get(f"alarm.{name}", default=None, deserialize_json=True)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, known: dict[str, Any]) -> None:
        Variable.set(f"alarm.{name}", known, description="Kept by platform_alerts while it lasts", serialize_json=True)

    def __delitem__(self, name: str) -> None:
        Variable.delete(f"alarm.{name}")

    def __iter__(self) -> Iterator[str]:
        return (key.removeprefix("alarm.") for key in Variable.keys(prefix="alarm."))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class Alarm:
    """A condition that is there, or was until now.

    :param reason: in words, as it was when first seen or when it rang
    :param since: when it was first seen (epoch seconds)
    :param rang: it lasted long enough
    :param told: the message of its start was delivered
    :param over: when it ended; kept until the message of its end is delivered
    :param ended_by: of a failed task: `dag_id`, `task_id` and the `successes` that Airflow counted of it until then
    """

    reason: str
    since: float
    rang: bool = False
    told: bool = False
    over: float | None = None
    ended_by: dict[str, Any] | None = None

    @property
    def on(self) -> bool:
        return self.rang and self.over is None


class Alarms:
    """Every alarm that is on, or about to be.

    :param known: name -> fields of an `Alarm`
    :param tell: delivers a title, a message and its kind; returns whether it was taken
    :param now: the clock, epoch seconds
    """

    def __init__(
        self,
        known: MutableMapping[str, dict[str, Any]],
        tell: Callable[..., bool] = deliver,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._known = known
        self._alarms = {name: Alarm(**fields) for name, fields in known.items()}
        self._tell = tell
        self._now = now

    def observe(self, name: str, reason: str | None, lasts_s: float = 0) -> None:
        """Take note of what is wrong now, by `<rule>.<subject>`: None when nothing is."""
        before = self._alarms.get(name)
        if reason:
            self._keep(name, before, self._lasting(name, before or Alarm(reason, self._now()), reason, lasts_s))
        elif before:
            self._keep(name, before, self._ending(name, before))

    def tasks(self) -> dict[str, Alarm]:
        """Those that began with a task's failure."""
        return {name: alarm for name, alarm in self._alarms.items() if alarm.ended_by}

    def on(self) -> list[str]:
        """Names of those that rang and are not over."""
        return sorted(name for name, alarm in self._alarms.items() if alarm.on)

    def _lasting(self, name: str, alarm: Alarm, reason: str, lasts_s: float) -> Alarm:
        if alarm.over is not None:  # back before anybody heard that it was over: it goes on
            alarm = replace(alarm, over=None)
        if not alarm.rang and self._now() - alarm.since >= lasts_s:
            alarm = replace(alarm, rang=True, reason=reason)
        if alarm.rang and not alarm.told:
            alarm = replace(alarm, told=self._tell(f"ALARM {_title(name)}", message(name, alarm)))
        return alarm

    def _ending(self, name: str, alarm: Alarm) -> Alarm | None:
        if not alarm.rang:
            return None
        alarm = replace(alarm, over=alarm.over or self._now())
        return None if self._tell(f"OK {_title(name)}", message(name, alarm), "success") else alarm

    def _keep(self, name: str, before: Alarm | None, after: Alarm | None) -> None:
        if after is None:
            self._alarms.pop(name)
            self._known.pop(name, None)
        elif after != before:
            self._alarms[name] = after
            self._known[name] = asdict(after)


def is_on(name: str) -> bool:
    """Whether this alarm is on, and people were told."""
    known = AlarmStore().get(name)
    return known is not None and Alarm(**known).on and Alarm(**known).told


def begin(name: str, reason: str, told: bool, ended_by: dict[str, Any]) -> None:
    """Set an alarm on at once; `platform_alerts` ends it, and tells of it where that was not done yet."""
    AlarmStore()[name] = asdict(Alarm(reason, time.time(), rang=True, told=told, ended_by=ended_by))


def _title(name: str) -> str:
    return name.replace(".", ": ", 1)


def message(name: str, alarm: Alarm) -> dict[str, Any]:
    """What people are told when the alarm begins, and when it is over."""
    since = f"{datetime.fromtimestamp(alarm.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    over = alarm.over and f"over after {timedelta(seconds=round(alarm.over - alarm.since))}; it was: "
    return {"message": f"{over or ''}{alarm.reason}", "since": since, "runbook": runbook(name.split(".")[0])}
