"""Health as one idea: rows reach the tables in time. The pipeline's branch, `flink_jobs`, the alarms and `make health` use it.

`measure` sees, `rules` judges: both know nothing of each other's doings beyond `JobHealth`.
"""

from __future__ import annotations

from dataclasses import replace

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.streaming.lock import deployment_lock

from .measure import Flow, JobHealth, measure, platform_flows
from .rules import Rule, Thresholds, judge

__all__ = [
    "CANNOT_BE_ASKED", "Flow", "JobHealth", "Rule", "Thresholds", "check", "declared_flows", "judge", "nothing_to_judge",
    "platform_health", "reasons_when_deployed", "thresholds", "unhealthy_reasons",
]  # fmt: skip

CANNOT_BE_ASKED = (FlinkError, AirflowException)
DEPLOYMENT_LIMIT_S = 180


def thresholds() -> Thresholds:
    """The variable `health_thresholds`."""
    return Thresholds(**Variable.get("health_thresholds", deserialize_json=True))


def declared_flows() -> tuple[Flow, Flow]:
    """Bronze and Silver as the variables describe them."""
    return platform_flows(Variable.get("taxi_topic"), Variable.get("bronze_consumer_group"))


def check(flow: Flow, limits: Thresholds) -> JobHealth:
    """Look at one job now, and judge it.

    :raises FlinkError, AirflowException: Flink, Kafka or the catalog cannot be asked; the message says which
    """
    seen = measure(flow, Variable.get("flink_state_dir"), limits.overdue_s, limits.restart_window_s)
    return replace(
        seen, reasons=tuple(words for rule, words in judge(seen, limits).items() if words and rule.unhealthy)
    )


def platform_health() -> list[JobHealth]:
    """Both streaming jobs now, judged by the variable `health_thresholds`.

    :raises FlinkError, AirflowException: Flink, Kafka or the catalog cannot be asked; the message says which
    """
    limits = thresholds()
    return [check(flow, limits) for flow in declared_flows()]


def unhealthy_reasons() -> list[str]:
    """What is wrong with the streaming jobs, in words; a part that cannot be asked is one of the reasons."""
    try:
        return [reason for job in platform_health() for reason in job.reasons]
    except CANNOT_BE_ASKED as error:
        return [str(error)]


def reasons_when_deployed() -> list[str]:
    """What is wrong with the streaming jobs once nobody deploys them: a job that is just being upgraded is not there."""
    reasons = unhealthy_reasons()
    if not reasons:
        return []
    try:
        for flow in declared_flows():
            with deployment_lock(flow.job, DEPLOYMENT_LIMIT_S):
                pass
    except (TimeoutError, *CANNOT_BE_ASKED) as error:
        return [*reasons, str(error)]
    return unhealthy_reasons()


def nothing_to_judge() -> bool:
    """Whether no event was ever sent: a new platform, whose jobs may not be there yet, is not unhealthy."""
    try:
        return TopicHook(Variable.get("taxi_topic")).is_unused()
    except AirflowException:
        return False  # that Kafka does not answer is for `unhealthy_reasons` to say
