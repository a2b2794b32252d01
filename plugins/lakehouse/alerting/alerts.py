"""Alerts: one message when a condition has lasted long enough, one when it is resolved, none in between.

The state of an alert is kept in an Airflow variable `alarm.<rule>.<subject>` while the condition lasts, so that it survives
restarts and retries. It is a variable because the callback of a killed task runs in the DAG processor, which can access
variables but neither the task nor the asset state store; because the open alerts can be listed in one request; and because
people see them in the UI (to dismiss an alert, delete its variable).

A message that was not delivered is sent again by the next evaluation. Two evaluations at once may notify twice, but neither
loses anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Variable
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from lakehouse.alerting.channel import deliver, runbook

#: Used instead of a pipeline's name when an alert is about the platform as a whole.
PLATFORM = "platform"


class FailedTask(BaseModel):
    """The task whose next success resolves an alert.

    :param map_index: which instance of a mapped task
    :param logical_date: of the failed run, if it has one: the task may also succeed there, after it is cleared
    :param manual_run_id: id of the run, if it was triggered manually: there may never be another one
    :param succeeded: the task has reported a success itself
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    dag_id: str
    task_id: str
    map_index: int | None = None
    logical_date: datetime | None = None
    manual_run_id: str | None = Field(None, validation_alias=AliasChoices("manual_run_id", "by_hand"))
    succeeded: bool = False


class Alert(BaseModel):
    """The state of one alert. The second alias of a field is its name in previous versions.

    :param reason: as of when the condition was first seen, or when the alert fired
    :param since: when the condition was first seen (epoch seconds)
    :param pipeline: name of the pipeline that the alert is about, or `PLATFORM`
    :param fired: the condition has lasted long enough
    :param notified: the message that the alert fired was delivered
    :param resolved_at: when the condition ended (epoch seconds); kept until the message about that is delivered
    :param resolved_by: for a failed task, the task whose success after `since` resolves the alert
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    reason: str
    since: float
    pipeline: str = PLATFORM
    fired: bool = Field(False, validation_alias=AliasChoices("fired", "rang"))
    notified: bool = Field(False, validation_alias=AliasChoices("notified", "told"))
    resolved_at: float | None = Field(None, validation_alias=AliasChoices("resolved_at", "over"))
    resolved_by: FailedTask | None = Field(None, validation_alias=AliasChoices("resolved_by", "ended_by"))

    @property
    def firing(self) -> bool:
        return self.fired and self.resolved_at is None

    def changed(self, **changes: Any) -> Alert:
        """A copy with these fields changed."""
        return self.model_copy(update=changes)


class AlertStore(MutableMapping[str, dict[str, Any]]):
    """`<rule>.<subject>` -> fields of an `Alert`, stored in Airflow variables. Works in tasks and in their callbacks."""

    def __getitem__(self, name: str) -> dict[str, Any]:
        found = Variable.get(f"alarm.{name}", default=None, deserialize_json=True)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, known: dict[str, Any]) -> None:
        Variable.set(
            f"alarm.{name}",
            known,
            description="State of an alert, kept by platform_alerts while the condition lasts",
            serialize_json=True,
        )

    def __delitem__(self, name: str) -> None:
        Variable.delete(f"alarm.{name}")

    def __iter__(self) -> Iterator[str]:
        return (key.removeprefix("alarm.") for key in Variable.keys(prefix="alarm."))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Alerts:
    """Alerts that are pending or firing.

    :param store: name -> fields of an `Alert`
    :param names: the alerts to manage; others in the store are left alone
    :param notify: sends a title, a message and its kind; returns whether it was delivered
    :param now: the clock, epoch seconds
    """

    def __init__(
        self,
        store: MutableMapping[str, dict[str, Any]],
        names: Iterable[str],
        notify: Callable[..., bool] = deliver,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        stored = {name: store.get(name) for name in set(names).intersection(store)}
        self._alerts = {name: Alert.model_validate(fields) for name, fields in stored.items() if fields}
        self._notify = notify
        self._now = now

    def __iter__(self) -> Iterator[tuple[str, Alert]]:
        """Name and state of each alert, sorted by name."""
        return iter(sorted(self._alerts.items()))

    @property
    def firing(self) -> list[str]:
        """Names of the alerts that are firing."""
        return [name for name, alert in self if alert.firing]

    def observe(self, name: str, reason: str | None, lasts_s: float = 0, pipeline: str | None = None) -> None:
        """Update the alert `<rule>.<subject>`.

        :param reason: why the rule is broken now; None if it is not
        :param lasts_s: seconds that it must be broken before the alert fires
        :param pipeline: name of the pipeline that the alert is about; by default the one in its name
        """
        before = self._alerts.get(name)
        if reason:
            first = before or Alert(reason=reason, since=self._now(), pipeline=pipeline or pipeline_in(name))
            self._store_state(name, before, self._broken(name, first, reason, lasts_s))
        elif before:
            self._store_state(name, before, self._resolved(name, before))

    def _broken(self, name: str, alert: Alert, reason: str, lasts_s: float) -> Alert:
        if alert.resolved_at is not None:  # broken again before the resolution was notified: the same alert continues
            alert = alert.changed(resolved_at=None)
        if not alert.fired and self._now() - alert.since >= lasts_s:
            alert = alert.changed(fired=True, reason=reason)
        if alert.fired and not alert.notified:
            alert = alert.changed(notified=self._notify(f"ALERT {_title(name)}", message(name, alert)))
        return alert

    def _resolved(self, name: str, alert: Alert) -> Alert | None:
        if not alert.fired:
            return None
        alert = alert.changed(resolved_at=alert.resolved_at or self._now())
        return None if self._notify(f"RESOLVED {_title(name)}", message(name, alert), "success") else alert

    def _store_state(self, name: str, before: Alert | None, after: Alert | None) -> None:
        if after is None:
            self._alerts.pop(name)
            self._store.pop(name, None)
        elif after != before:
            self._alerts[name] = after
            self._store[name] = after.model_dump(mode="json")


def is_firing(name: str) -> bool:
    """Whether this alert is firing and its message was delivered."""
    stored = AlertStore().get(name)
    if stored is None:
        return False
    alert = Alert.model_validate(stored)
    return alert.firing and alert.notified


def fire(name: str, reason: str, pipeline: str, notified: bool, resolved_by: FailedTask) -> None:
    """Fire an alert at once; `platform_alerts` resolves it, and sends the message if it was not delivered yet."""
    alert = Alert(
        reason=reason, since=time.time(), pipeline=pipeline, fired=True, notified=notified, resolved_by=resolved_by
    )
    AlertStore()[name] = alert.model_dump(mode="json")


def note_success(dag_id: str, task_id: str, map_index: int | None) -> None:
    """Record a task's success in each alert that it resolves; `platform_alerts` then resolves them.

    :param map_index: which instance of a mapped task
    """
    store = AlertStore()
    for name in [name for name in store if f".{dag_id}." in name]:
        stored = store.get(name)
        alert = Alert.model_validate(stored) if stored else None
        if not alert or not (awaited := alert.resolved_by) or (awaited.dag_id, awaited.task_id) != (dag_id, task_id):
            continue
        if awaited.map_index in (None, map_index):
            store[name] = alert.changed(resolved_by=awaited.model_copy(update={"succeeded": True})).model_dump(
                mode="json"
            )


def pipeline_in(name: str) -> str:
    """The pipeline in the name of an alert: its subject is a pipeline or one of its jobs."""
    return name.partition(".")[2].partition(".")[0]


def message(name: str, alert: Alert) -> dict[str, Any]:
    """The message of an alert that fires or is resolved."""
    since = f"{datetime.fromtimestamp(alert.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    resolved = (
        f"resolved after {timedelta(seconds=round(alert.resolved_at - alert.since))}; it was: "
        if alert.resolved_at
        else ""
    )
    return {
        "message": f"{resolved}{alert.reason}",
        "pipeline": alert.pipeline,
        "since": since,
        "runbook": runbook(name.split(".")[0]),
    }


def _title(name: str) -> str:
    return name.replace(".", ": ", 1)
