"""What `platform_alerts` does each minute: evaluate every rule for each pipeline, and update the alerts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from lakehouse.alerting.alerts import PLATFORM, Alerts, AlertStore, FailedTask, pipeline_in
from lakehouse.alerting.control_plane import DagFiles, dag_files, is_settled, missing_tasks, succeeded_since
from lakehouse.gold.age import age_s
from lakehouse.gold.manifest import declaration_problems
from lakehouse.pipelines.load import Declarations, declarations
from lakehouse.pipelines.model import Gold, Pipeline
from lakehouse.quality.ledger import Ledger, read_ledger
from lakehouse.streaming.flow import flows_of
from lakehouse.streaming.health import (
    UNAVAILABLE,
    JobHealth,
    Thresholds,
    check,
    evaluate_job,
    is_unused,
    thresholds,
)
from lakehouse.streaming.health.rules import BY_NAME, RULES, Rule

T = TypeVar("T")

#: The rules about a pipeline as a whole.
LEDGER, UNREACHABLE, GOLD = BY_NAME["ledger"], BY_NAME["unreachable"], BY_NAME["gold-stale"]
#: Without a threshold, Gold is stale when this many builds were missed.
BUILDS_UNTIL_STALE = 3
#: The rules about the control plane.
DECLARATION, DAG_FILE, RUN = BY_NAME["declaration-broken"], BY_NAME["dag-broken"], BY_NAME["run-without-tasks"]
#: This DAG file shows broken declarations in Airflow's UI; each of them has an alert of its own.
DECLARATIONS_FILE = "broken_declarations"


def evaluate(pipeline: Pipeline) -> list[str]:
    """Evaluate a pipeline's rules, and notify of alerts that fire or are resolved. What cannot be observed stays as it was.

    :return: names of the pipeline's alerts that are firing
    """
    limits = thresholds()
    alerts = Alerts(AlertStore(), alert_names(pipeline))
    for rule, subject, reason in evaluate_rules(observe(pipeline, limits), limits):
        alerts.observe(f"{rule.name}.{subject}", reason, rule.lasts_s(limits))
    return alerts.firing


def evaluate_airflow(dags: Path) -> list[str]:
    """Evaluate declarations, DAG files and runs, and resolve the alerts of failed tasks and of what no longer exists.

    The latter are alerts about a pipeline, stage or task that was removed, or about a disabled pipeline. While a declaration
    or a DAG file is broken, its contents are unknown: its alerts stay.

    :param dags: the folder of the DAG files
    :return: names of the alerts that are firing, except those of `evaluate`
    """
    declared, files, limits = declarations(), dag_files(dags), thresholds()
    broken = {
        f"{rule.name}.{subject}": (rule, reason) for rule, subject, reason in broken_control_plane(declared, files)
    }
    evaluated = {name for pipeline in declared.enabled for name in alert_names(pipeline)}
    unknown = {Path(file).stem for file in declared.problems}
    store = AlertStore()
    alerts = Alerts(store, set(store) - evaluated | set(broken))

    for name, alert in alerts:
        if name in broken:
            continue
        if alert.resolved_by:
            resolved = _is_resolved(alert.resolved_by, alert.since, files, limits.manual_run_for_s)
            alerts.observe(name, None if resolved else alert.reason)
        elif pipeline_in(name) not in unknown:
            alerts.observe(name, None)
    for name, (rule, reason) in broken.items():
        pipeline = pipeline_in(name) if rule is DECLARATION else PLATFORM
        alerts.observe(name, reason, rule.lasts_s(limits), pipeline)
    return alerts.firing


def broken_control_plane(declared: Declarations, files: DagFiles) -> Iterator[tuple[Rule, str, str]]:
    """Broken declarations, DAG files and runs: rule, subject and reason."""
    for problem in declaration_problems(declared):
        yield DECLARATION, problem.partition(".yaml:")[0], problem
    for name, error in files.errors.items():
        if name != DECLARATIONS_FILE:
            yield DAG_FILE, name, f"dags/{name}.py cannot be imported: {error}"
    for dag_id, tasks in files.tasks.items():
        if reason := missing_tasks(dag_id, tasks):
            yield RUN, dag_id, reason


def _is_resolved(task: FailedTask, since: float, files: DagFiles, manual_run_for_s: float) -> bool:
    """Whether the task has succeeded again or no longer exists, or its manual run is settled or too old."""
    if (
        task.succeeded
        or succeeded_since(task, since)
        or (not files.errors and task.task_id not in files.tasks.get(task.dag_id, ()))
    ):
        return True
    return task.manual_run_id is not None and (
        time.time() - since > manual_run_for_s or is_settled(task.dag_id, task.manual_run_id)
    )


def alert_names(pipeline: Pipeline) -> set[str]:
    """Names of the alerts that `evaluate` manages."""
    jobs = [stage.job for stage in pipeline.stages.values()]
    of_pipeline = (LEDGER, UNREACHABLE, *([GOLD] if pipeline.gold else []))
    return {f"{rule.name}.{job}" for rule in RULES if rule.evaluate for job in jobs} | {
        f"{rule.name}.{pipeline.name}" for rule in of_pipeline
    }


@dataclass(frozen=True)
class Observation:
    """A pipeline as observed now.

    :param unused: no event was ever sent: jobs and tables may not exist yet, and no rule applies
    :param ledger: None if it could not be read
    :param gold_age_s: for how long Gold has lacked rows of its source; None if that is unknown, or there is no Gold
    :param problems: why something could not be observed
    """

    pipeline: Pipeline
    unused: bool = False
    jobs: tuple[JobHealth, ...] = ()
    ledger: Ledger | None = None
    gold_age_s: float | None = None
    problems: tuple[str, ...] = ()


def observe(pipeline: Pipeline, limits: Thresholds) -> Observation:
    """Observe a pipeline's jobs, ledger and Gold independently: one that cannot be observed does not hide the others."""
    problems: list[str] = []

    def attempt(ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except UNAVAILABLE as error:
            problems.append(str(error))
            return None

    jobs = [attempt(partial(check, flow, limits)) for flow in flows_of(pipeline)]
    ledger = attempt(partial(read_ledger, pipeline))
    gold_age_s = attempt(partial(age_s, pipeline)) if pipeline.gold else None
    found = tuple(job for job in jobs if job)
    return Observation(pipeline, is_unused(pipeline), found, ledger, gold_age_s, tuple(dict.fromkeys(problems)))


def evaluate_rules(seen: Observation, limits: Thresholds) -> Iterator[tuple[Rule, str, str | None]]:
    """Each rule that can be evaluated: the rule, its subject, and why it is broken, or None."""
    yield UNREACHABLE, seen.pipeline.name, None if seen.unused else "; ".join(seen.problems) or None
    if seen.unused:
        return
    for job in seen.jobs:
        yield from ((rule, job.job, reason) for rule, reason in evaluate_job(job, limits).items())
    if seen.ledger:
        yield LEDGER, seen.pipeline.name, "; ".join(seen.ledger.errors) or None
    if seen.pipeline.gold and seen.gold_age_s is not None:
        yield GOLD, seen.pipeline.name, _stale(seen.pipeline.gold, seen.gold_age_s, limits)


def _stale(gold: Gold, age_s: float, limits: Thresholds) -> str | None:
    limit_s = limits.gold_age_s or BUILDS_UNTIL_STALE * gold.every.total_seconds()
    if age_s <= limit_s:
        return None
    return f"Gold lacks rows that {gold.source} has held for {age_s:,.0f} s (limit {limit_s:,.0f} s)"
