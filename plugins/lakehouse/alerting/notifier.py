"""One message for everything that went wrong: the DAG, run, task, try, the error's first lines and the way to the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseNotifier

from lakehouse.alerting import alarms
from lakehouse.alerting.channel import deliver, runbook

log = logging.getLogger(__name__)

ERROR_LINES = 5


class AlertNotifier(BaseNotifier):
    """Sends a message, and begins an alarm, which `platform_alerts` ends when the task has succeeded again.

    While the alarm is on, further scheduled runs that fail alike are only logged. A run by hand always has its message:
    somebody waits for it. A retry has a message and begins no alarm: success or failure follows.

    :param event: what happened: "retry", "failure" or a word of your own
    :param message: more about it in words; by default the error's first lines
    :param rule: the rule that was broken, and its section of the runbook
    :param until: id of the task whose success is the end of it; by default the task itself
    """

    template_fields = ("event", "message")

    def __init__(self, event: str, message: str = "", rule: str = "task-failed", until: str | None = None) -> None:
        super().__init__()
        self.event = event
        self.message = message
        self.rule = rule
        self.until = until

    def notify(self, context: Mapping[str, Any]) -> None:
        alert = self._describe(context)
        where = f"{alert['dag']}.{alert['task']}"
        until = self.until or alert["task"]
        alarm = f"{self.rule}.{alert['dag']}.{until}"
        if not _by_hand(context) and _is_on(alarm):
            log.warning("The alarm %s is on already: no message about %s: %s", alarm, where, alert["message"])
            return
        told = deliver(f"{self.event}: {where}", alert)
        if self.event != "retry":
            _begin(alarm, f"{where}: {alert['message']}", told, context["ti"], until)

    def _describe(self, context: Mapping[str, Any]) -> dict[str, Any]:
        task_instance = context["ti"]
        error = str(context.get("exception") or "").splitlines()[:ERROR_LINES]
        return {
            "event": self.event,
            "dag": task_instance.dag_id,
            "run": task_instance.run_id,
            "task": task_instance.task_id,
            "try": task_instance.try_number,
            "message": self.message or "\n".join(error),
            "log": getattr(task_instance, "log_url", None),
            "runbook": runbook(self.rule),
        }


def _by_hand(context: Mapping[str, Any]) -> bool:
    run = context.get("dag_run")  # may be missing for the callback of a task that was killed
    return run is not None and run.run_type == "manual"


def _is_on(alarm: str) -> bool:
    try:
        return alarms.is_on(alarm)
    except Exception:  # better told twice than never
        log.exception("It cannot be seen whether the alarm %s is on", alarm)
        return False


def _begin(alarm: str, reason: str, told: bool, task_instance: Any, until: str) -> None:
    try:
        dag_id = task_instance.dag_id
        successes = task_instance.get_ti_count(dag_id, task_ids=[until], states=["success"])
        alarms.begin(alarm, reason, told, {"dag_id": dag_id, "task_id": until, "successes": successes})
    except Exception:
        log.exception("The alarm %s cannot be kept: nobody will be told when it is over", alarm)
