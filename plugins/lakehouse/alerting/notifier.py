"""One message for every failure: the DAG, run, task, try, the error's first lines and a link to the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseNotifier

from lakehouse.alerting import alerts
from lakehouse.alerting.alerts import PLATFORM, FailedTask
from lakehouse.alerting.channel import deliver, runbook

log = logging.getLogger(__name__)

ERROR_LINES = 5


class AlertNotifier(BaseNotifier):
    """Sends a message, and fires an alert, which `platform_alerts` resolves when the task has succeeded again.

    While the alert fires, further scheduled runs that fail alike are only logged. A run by hand always has its message:
    somebody waits for it. Its alert does not wait for another run, which there may never be. A retry has a message and
    fires no alert: success or failure follows.

    :param event: what happened: "retry", "failure" or a text of your own
    :param message: more about it; by default the error's first lines
    :param rule: the rule that was broken, and its section of the runbook
    :param until: id of the task whose success resolves it; by default the task itself, of a mapped one this instance
    """

    template_fields = ("event", "message")

    def __init__(self, event: str, message: str = "", rule: str = "task-failed", until: str | None = None) -> None:
        super().__init__()
        self.event = event
        self.message = message
        self.rule = rule
        self.until = until

    def notify(self, context: Mapping[str, Any]) -> None:
        described = self._describe(context)
        where = f"{described['dag']}.{described['task']}"
        name = f"{self.rule}.{described['dag']}.{self.until or described['task']}"
        if not _by_hand(context) and _is_firing(name):
            log.warning("The alert %s is firing already: no message about %s: %s", name, where, described["message"])
            return
        notified = deliver(f"{self.event}: {where}", described)
        if self.event != "retry":
            reason = f"{where}: {described['message']}"
            _fire(name, reason, described["pipeline"], notified, self._awaited(context))

    def _awaited(self, context: Mapping[str, Any]) -> FailedTask:
        """The task whose success resolves the alert."""
        task_instance, run = context["ti"], context.get("dag_run")  # which the callback of a killed task may lack
        by_index = self.until is None and _instance(task_instance) is not None
        return FailedTask(
            dag_id=task_instance.dag_id,
            task_id=self.until or task_instance.task_id,
            map_index=task_instance.map_index if by_index else None,
            logical_date=run.logical_date if run else None,
            by_hand=task_instance.run_id if self.until is None and _by_hand(context) else None,
        )

    def _describe(self, context: Mapping[str, Any]) -> dict[str, Any]:
        task_instance = context["ti"]
        error = str(context.get("exception") or "").splitlines()[:ERROR_LINES]
        instance = _instance(task_instance)
        return {
            "event": self.event,
            "pipeline": _pipeline(context),
            "dag": task_instance.dag_id,
            "run": task_instance.run_id,
            "task": ".".join(filter(None, [task_instance.task_id, instance])),
            "try": task_instance.try_number,
            "message": self.message or "\n".join(error),
            "log": getattr(task_instance, "log_url", None),
            "runbook": runbook(self.rule),
        }


class SuccessNotifier(BaseNotifier):
    """Says that a task has succeeded, for the alerts that wait for that; people are not notified.

    Airflow itself finds successes by the logical date of their runs, which one that is triggered by its API or command line
    does not have.
    """

    def notify(self, context: Mapping[str, Any]) -> None:
        task_instance = context["ti"]
        try:
            alerts.note_success(task_instance.dag_id, task_instance.task_id, task_instance.map_index)
        except Exception:  # the task did succeed
            log.exception("The alerts that wait for this task's success cannot be found")


def _instance(task_instance: Any) -> str | None:
    """Which instance of a mapped task this is, by its label or its index; None of any other."""
    if task_instance.map_index is None or task_instance.map_index < 0:
        return None
    return task_instance.rendered_map_index or str(task_instance.map_index)


def _pipeline(context: Mapping[str, Any]) -> str:
    """Name of the pipeline that a task works for: by its DAG, the DAG's parameter, its group or its instance."""
    from lakehouse.pipelines.load import declarations

    try:
        task = context["ti"]
        declared = declarations().pipelines
        by_dag = {pipeline.dag_id: name for name, pipeline in declared.items()}
        by_table = {table: name for name, pipeline in declared.items() for table in pipeline.tables}
        group, instance = task.task_id.partition(".")[0], _instance(task)
        asked = (context.get("params") or {}).get("pipeline")
        choices = (by_dag.get(task.dag_id), asked, group, instance, by_table.get(instance or ""))
        return next((name for name in choices if name in declared), PLATFORM)
    except Exception:  # a message that does not name it is better than none
        log.exception("It cannot be seen which pipeline the task works for")
        return PLATFORM


def _by_hand(context: Mapping[str, Any]) -> bool:
    run = context.get("dag_run")  # may be missing for the callback of a task that was killed
    return run is not None and run.run_type == "manual"


def _is_firing(name: str) -> bool:
    try:
        return alerts.is_firing(name)
    except Exception:  # better notified twice than never
        log.exception("It cannot be seen whether the alert %s is firing", name)
        return False


def _fire(name: str, reason: str, pipeline: str, notified: bool, awaited: FailedTask) -> None:
    try:
        alerts.fire(name, reason, pipeline, notified, awaited)
    except Exception:
        log.exception("The alert %s cannot be kept: nobody will be notified when it is resolved", name)
