"""What all DAGs of the platform have in common: owner, retries, alerts, tags. Tests enforce it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Any

from airflow.sdk import CronTriggerTimetable, DeltaTriggerTimetable, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from jinja2 import StrictUndefined

from lakehouse.airflow.hooks.unavailable import ServiceUnavailable
from lakehouse.alerting.notifier import AlertNotifier, SuccessNotifier
from lakehouse.pipelines.load import enabled_pipelines
from lakehouse.pipelines.model import Pipeline
from lakehouse.texts import BIGINT, message

OWNER = "data-platform"
LIMIT = timedelta(minutes=30)
#: The pool for long-running tasks. It has fewer slots than the executor, so alerts, deployments and Gold always find one.
LONG_POOL = "long"


class Tag(StrEnum):
    """The only tags that a DAG may carry."""

    STREAMING = "streaming"
    PIPELINE = "pipeline"
    GENERATOR = "generator"
    GOLD = "gold"
    REPAIR = "repair"
    OPERATIONS = "operations"
    MAINTENANCE = "maintenance"


def default_args(**overrides: Any) -> dict[str, Any]:
    """Task defaults: two retries five minutes apart, a limit on every task, alerts on retry and failure."""
    return {
        "owner": OWNER,
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": LIMIT,
        "on_retry_callback": AlertNotifier("retry"),
        "on_failure_callback": AlertNotifier("failure"),
        "on_success_callback": SuccessNotifier(),
        **overrides,
    }


def every(interval: timedelta) -> CronTriggerTimetable | DeltaTriggerTimetable:
    """A schedule with one run per interval.

    It is a cron expression wherever possible, because the UI describes those in plain English ("Every 10 minutes").
    """
    minutes, hours = interval // timedelta(minutes=1), interval // timedelta(hours=1)
    if minutes in range(1, 60) and timedelta(minutes=minutes) == interval and 60 % minutes == 0:
        return CronTriggerTimetable(f"*/{minutes} * * * *", timezone="UTC")
    if hours in range(1, 24) and timedelta(hours=hours) == interval and 24 % hours == 0:
        return CronTriggerTimetable(f"0 */{hours} * * *", timezone="UTC")
    return DeltaTriggerTimetable(interval)


def upkeep_at(cron: str) -> CronTriggerTimetable:
    """A schedule (UTC) for work that a new platform does not need: the first run waits for the next scheduled time.

    The first minutes of a new platform are for deploying the jobs.
    """
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta())


def pipeline_param() -> Param:
    """The form field of a DAG that is triggered manually for one pipeline."""
    names: list[str | None] = [pipeline.name for pipeline in enabled_pipelines()] or [None]
    return Param(names[0], enum=names, description="Pipeline")


def offset_param(description: str) -> Param:
    """The form field for an optional Kafka offset."""
    return Param(None, type=["null", "integer"], minimum=0, maximum=BIGINT[-1], description=description)


@contextmanager
def form() -> Iterator[None]:
    """Fail the task at once, with one line, when the values of a form cannot be used: a retry would find the same."""
    try:
        yield
    except ServiceUnavailable:
        raise
    except (AirflowException, ValueError) as error:
        raise AirflowFailException(message(error)) from error


def page(doc: str | None, pipeline: Pipeline) -> str:
    """The page of a pipeline's DAG: the docstring of the DAG file, with `<name>` and `<title>` filled in."""
    return (doc or "").replace("<name>", pipeline.name).replace("<title>", pipeline.title)


def dag_args(doc: str | None, *tags: Tag) -> dict[str, Any]:
    """Arguments that all DAGs share; `doc` is the DAG file's docstring.

    An undefined variable in a template is an error, not an empty string.
    """
    return {
        "doc_md": doc,
        "tags": [tag.value for tag in tags],
        "catchup": False,
        "max_active_runs": 1,
        "template_undefined": StrictUndefined,
    }
