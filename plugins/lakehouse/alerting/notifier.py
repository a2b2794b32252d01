"""Notifications of failed tasks: DAG, run, task, try, first lines of the error and a link to the log."""

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
    """Sends a message and fires an alert, which `platform_alerts` resolves when the task has succeeded again.

    While the alert is firing, further failures of scheduled runs are only logged. A manual run always sends its message,
    because somebody is waiting for it; its alert does not depend on another run, because there may never be one. A retry sends
    a message but fires no alert, because success or failure will follow.

    :param event: what happened: "retry", "failure" or custom text
    :param message: details; by default the first lines of the error
    :param rule: the broken rule, which is also the section of the runbook
    :param until: id of the task whose success resolves the alert; by default the task itself (the same instance, if mapped)
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
        if not _is_manual(context) and _is_firing(name):
            log.warning(
                "The alert %s is already firing, no message is sent about %s: %s", name, where, described["message"]
            )
            return
        notified = deliver(f"{self.event}: {where}", described)
        if self.event != "retry":
            reason = f"{where}: {described['message']}"
            _fire(name, reason, described["pipeline"], notified, self._awaited(context))

    def _awaited(self, context: Mapping[str, Any]) -> FailedTask:
        """The task whose success resolves the alert."""
        task_instance, run = context["ti"], context.get("dag_run")  # the callback of a killed task may have no run
        by_index = self.until is None and _instance(task_instance) is not None
        return FailedTask(
            dag_id=task_instance.dag_id,
            task_id=self.until or task_instance.task_id,
            map_index=task_instance.map_index if by_index else None,
            logical_date=run.logical_date if run else None,
            manual_run_id=task_instance.run_id if self.until is None and _is_manual(context) else None,
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
    """Records a task's success for the alerts that it resolves; it sends no message.

    Airflow finds earlier successes only by the logical date of their runs, and a run that is triggered by the API or the
    command line has none.
    """

    def notify(self, context: Mapping[str, Any]) -> None:
        task_instance = context["ti"]
        try:
            alerts.note_success(task_instance.dag_id, task_instance.task_id, task_instance.map_index)
        except Exception:  # the task itself did succeed
            log.exception("The success could not be recorded in the alerts that it resolves")


def _instance(task_instance: Any) -> str | None:
    """Label or index of an instance of a mapped task; None for other tasks."""
    if task_instance.map_index is None or task_instance.map_index < 0:
        return None
    return task_instance.rendered_map_index or str(task_instance.map_index)


def _pipeline(context: Mapping[str, Any]) -> str:
    """Name of the pipeline that a task belongs to, by its DAG, the DAG's parameter, its group or its instance."""
    from lakehouse.pipelines.load import declarations

    try:
        task = context["ti"]
        declared = declarations().pipelines
        by_dag = {pipeline.dag_id: name for name, pipeline in declared.items()}
        by_table = {table: name for name, pipeline in declared.items() for table in pipeline.tables}
        group, instance = task.task_id.partition(".")[0], _instance(task)
        param = (context.get("params") or {}).get("pipeline")
        choices = (by_dag.get(task.dag_id), param, group, instance, by_table.get(instance or ""))
        return next((name for name in choices if name in declared), PLATFORM)
    except Exception:  # a message without it is better than none
        log.exception("The task's pipeline could not be determined")
        return PLATFORM


def _is_manual(context: Mapping[str, Any]) -> bool:
    run = context.get("dag_run")  # may be missing in the callback of a killed task
    return run is not None and run.run_type == "manual"


def _is_firing(name: str) -> bool:
    try:
        return alerts.is_firing(name)
    except Exception:  # better two messages than none
        log.exception("The state of the alert %s could not be read", name)
        return False


def _fire(name: str, reason: str, pipeline: str, notified: bool, awaited: FailedTask) -> None:
    try:
        alerts.fire(name, reason, pipeline, notified, awaited)
    except Exception:
        log.exception("The alert %s could not be stored: nobody will be notified when it is resolved", name)
