"""What `platform_alerts` does each minute: every rule against what is seen of a pipeline, and the alerts that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from lakehouse.alerting.alerts import Alerts, AlertStore, TaskSuccess, pipeline_in
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import Pipeline
from lakehouse.quality.ledger import Ledger, read_ledger
from lakehouse.streaming.flow import flows_of
from lakehouse.streaming.health import (
    CANNOT_BE_ASKED,
    JobHealth,
    Thresholds,
    check,
    is_unused,
    judge,
    thresholds,
)
from lakehouse.streaming.health.rules import BY_NAME, RULES, Rule

T = TypeVar("T")

#: Of the platform's rules, those about a pipeline as a whole.
LEDGER, UNREACHABLE = BY_NAME["ledger"], BY_NAME["unreachable"]


def evaluate(pipeline: Pipeline) -> list[str]:
    """Look at a pipeline once, and notify of what fires and what is resolved. What cannot be seen stays as it was.

    :return: names of the pipeline's alerts that are firing
    """
    limits = thresholds()
    alerts = Alerts(AlertStore(), alert_names(pipeline))
    for rule, subject, reason in observations(look(pipeline, limits), limits):
        alerts.observe(f"{rule.name}.{subject}", reason, rule.lasts_s(limits))
    return alerts.firing


def resolve(count_tasks: Callable[..., int], dags: Path) -> list[str]:
    """Resolve what `evaluate` does not look at: alerts of tasks that have succeeded again, and those whose subject is gone.

    The latter are about a pipeline, stage or task that there is no longer, or of a pipeline that is switched off. While a
    declaration or a DAG file is broken, what it holds is not known: its alerts stay.

    :param count_tasks: the running task instance's `get_ti_count`
    :param dags: the folder of the DAG files
    :return: names of the alerts that are still firing
    """
    declared = declarations()
    evaluated = {name for pipeline in declared.enabled for name in alert_names(pipeline)}
    unknown = {Path(file).stem for file in declared.problems}
    store = AlertStore()
    alerts = Alerts(store, set(store) - evaluated)
    tasks = cache(lambda: None if declared.problems else tasks_in(dags))

    for name, alert in alerts:
        if alert.resolved_by:
            alerts.observe(name, None if _is_over(alert.resolved_by, count_tasks, tasks) else alert.reason)
        elif pipeline_in(name) not in unknown:
            alerts.observe(name, None)
    return alerts.firing


def _is_over(
    task: TaskSuccess, count_tasks: Callable[..., int], tasks: Callable[[], set[tuple[str, str]] | None]
) -> bool:
    """Whether a task has succeeded again, or is in no DAG any longer."""
    where = {"map_index": task.map_index, "task_ids": [task.task_id], "states": ["success"]}
    if count_tasks(task.dag_id, **where) > task.successes:
        return True
    known = tasks()
    return known is not None and (task.dag_id, task.task_id) not in known


def alert_names(pipeline: Pipeline) -> set[str]:
    """The alerts that `evaluate` looks after."""
    jobs = [stage.job for stage in pipeline.stages.values()]
    return {f"{rule.name}.{job}" for rule in RULES if rule.judge for job in jobs} | {
        f"{rule.name}.{pipeline.name}" for rule in (LEDGER, UNREACHABLE)
    }


def tasks_in(dags: Path) -> set[tuple[str, str]] | None:
    """DAG id and task id of every task; None while a DAG file cannot be read."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dags)
    return None if bag.import_errors else {(dag_id, task) for dag_id, dag in bag.dags.items() for task in dag.task_ids}


@dataclass(frozen=True)
class Seen:
    """What can be seen of a pipeline now.

    :param unused: no event was ever sent: its jobs and tables may not be there yet, and nothing is judged
    :param ledger: None when it could not be read
    :param problems: what could not be asked
    """

    pipeline: Pipeline
    unused: bool = False
    jobs: tuple[JobHealth, ...] = ()
    ledger: Ledger | None = None
    problems: tuple[str, ...] = ()


def look(pipeline: Pipeline, limits: Thresholds) -> Seen:
    """Look at each of a pipeline's jobs and at its ledger, each by itself: one that cannot be seen hides no other."""
    problems: list[str] = []

    def seen(ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except CANNOT_BE_ASKED as error:
            problems.append(str(error))
            return None

    jobs = [seen(partial(check, flow, limits)) for flow in flows_of(pipeline)]
    ledger = seen(partial(read_ledger, pipeline))
    found = tuple(job for job in jobs if job)
    return Seen(pipeline, is_unused(pipeline), found, ledger, tuple(dict.fromkeys(problems)))


def observations(seen: Seen, limits: Thresholds) -> Iterator[tuple[Rule, str, str | None]]:
    """Each rule that can be judged by that: the rule, its subject, and why it is broken, or None."""
    problems = () if seen.unused else seen.problems
    yield UNREACHABLE, seen.pipeline.name, "; ".join(problems) or None
    if seen.unused:
        return
    for job in seen.jobs:
        yield from ((rule, job.job, reason) for rule, reason in judge(job, limits).items())
    if seen.ledger:
        yield LEDGER, seen.pipeline.name, "; ".join(seen.ledger.errors) or None
