"""Health of the streaming jobs: rows reach the tables in time. Used by the pipelines, `flink_jobs`, the alerts and `make health`.

`measure` collects a `JobHealth`, `rules` evaluates it.
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
from lakehouse.streaming.flow import Flow, flows_to_gold
from lakehouse.streaming.lock import deployment_lock

from .measure import JobHealth, measure
from .rules import Rule, Thresholds, evaluate_job

__all__ = [
    "UNAVAILABLE", "JobHealth", "Rule", "Thresholds", "check", "evaluate_job", "health_of", "is_unused",
    "reasons_when_deployed", "thresholds", "unhealthy_reasons",
]  # fmt: skip

UNAVAILABLE = (FlinkError, AirflowException)
DEPLOYMENT_LIMIT_S = 180


def thresholds() -> Thresholds:
    """The variable `health_thresholds`."""
    return variables.structure("health_thresholds", Thresholds)


def check(flow: Flow, limits: Thresholds) -> JobHealth:
    """Check one job now.

    :raises FlinkError, AirflowException: Flink, Kafka or the catalog is unavailable; the message says which
    """
    seen = measure(flow, limits.overdue_s, limits.restart_window_s, limits.watermark_standing_s)
    return replace(
        seen, reasons=tuple(reason for rule, reason in evaluate_job(seen, limits).items() if reason and rule.unhealthy)
    )


def health_of(flows: Iterable[Flow]) -> list[JobHealth]:
    """Check these jobs now, with the variable `health_thresholds`. Errors as in `check`."""
    limits = thresholds()
    return [check(flow, limits) for flow in flows]


def unhealthy_reasons(pipeline: Pipeline) -> list[str]:
    """Why the jobs that lead to a pipeline's Gold are unhealthy, including services that are unavailable."""
    try:
        return [reason for job in health_of(flows_to_gold(pipeline)) for reason in job.reasons]
    except UNAVAILABLE as error:
        return [str(error)]


def reasons_when_deployed(pipeline: Pipeline) -> list[str]:
    """The same, after running deployments have finished: a job that is being upgraded is not running for a moment."""
    reasons = unhealthy_reasons(pipeline)
    if not reasons:
        return []
    try:
        for stage in pipeline.stages.values():
            with deployment_lock(stage.job, DEPLOYMENT_LIMIT_S):
                pass
    except (TimeoutError, *UNAVAILABLE) as error:
        return [*reasons, str(error)]
    return unhealthy_reasons(pipeline)


def is_unused(pipeline: Pipeline) -> bool:
    """Whether no event was ever sent: the jobs of a new pipeline may not exist yet, which is not unhealthy.

    A pipeline whose topic is empty or gone after events were seen in it is not unused.
    """
    known = [found for stage in pipeline.stages.values() if (found := states.load(stage))]
    if any(any(found.ends.values()) for found in known):
        return False
    try:
        return TopicHook(pipeline.topic.name).is_unused()
    except AirflowException:
        return False  # `unhealthy_reasons` reports that Kafka does not answer
