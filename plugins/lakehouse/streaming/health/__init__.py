"""Health as one idea: rows reach the tables in time. The pipelines' branch, `flink_jobs`, the alerts and `make health` use it.

`measure` sees, `rules` judges: both know nothing of each other's doings beyond `JobHealth`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow import variables
from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.model import Pipeline
from lakehouse.reconciliation import state as states
from lakehouse.streaming.flow import Flow, flows_of
from lakehouse.streaming.lock import deployment_lock

from .measure import JobHealth, measure
from .rules import Rule, Thresholds, judge

__all__ = [
    "CANNOT_BE_ASKED", "JobHealth", "Rule", "Thresholds", "check", "health_of", "is_unused", "judge",
    "reasons_when_deployed", "thresholds", "unhealthy_reasons",
]  # fmt: skip

CANNOT_BE_ASKED = (FlinkError, AirflowException)
DEPLOYMENT_LIMIT_S = 180


def thresholds() -> Thresholds:
    """The variable `health_thresholds`."""
    return variables.structure("health_thresholds", Thresholds)


def check(flow: Flow, limits: Thresholds) -> JobHealth:
    """Look at one job now, and judge it.

    :raises FlinkError, AirflowException: Flink, Kafka or the catalog cannot be asked; the message says which
    """
    seen = measure(flow, limits.overdue_s, limits.restart_window_s)
    return replace(
        seen, reasons=tuple(reason for rule, reason in judge(seen, limits).items() if reason and rule.unhealthy)
    )


def health_of(flows: Iterable[Flow]) -> list[JobHealth]:
    """These jobs now, judged by the variable `health_thresholds`. Errors as of `check`."""
    limits = thresholds()
    return [check(flow, limits) for flow in flows]


def unhealthy_reasons(pipeline: Pipeline) -> list[str]:
    """Why a pipeline's jobs are unhealthy; that a service cannot be asked is one of the reasons."""
    try:
        return [reason for job in health_of(flows_of(pipeline)) for reason in job.reasons]
    except CANNOT_BE_ASKED as error:
        return [str(error)]


def reasons_when_deployed(pipeline: Pipeline) -> list[str]:
    """The same once nobody deploys the jobs: one that is being upgraded right now does not run for a moment."""
    reasons = unhealthy_reasons(pipeline)
    if not reasons:
        return []
    try:
        for stage in pipeline.stages.values():
            with deployment_lock(stage.job, DEPLOYMENT_LIMIT_S):
                pass
    except (TimeoutError, *CANNOT_BE_ASKED) as error:
        return [*reasons, str(error)]
    return unhealthy_reasons(pipeline)


def is_unused(pipeline: Pipeline) -> bool:
    """Whether no event was ever sent: a new pipeline, whose jobs may not be there yet, is not unhealthy.

    One whose topic is empty, or gone, though events were seen in it is not unused.
    """
    known = [found for stage in pipeline.stages.values() if (found := states.load(stage))]
    if any(any(found.ends.values()) for found in known):
        return False
    try:
        return TopicHook(pipeline.topic.name).is_unused()
    except AirflowException:
        return False  # that Kafka does not answer is for `unhealthy_reasons` to say
