"""What `platform_alerts` does each minute: every rule against what is seen of a pipeline, and the alerts that follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from lakehouse.alerting.alerts import PLATFORM, Alerts, AlertStore, FailedTask, pipeline_in
from lakehouse.alerting.control_plane import DagFiles, dag_files, is_done_with, succeeded_since, without_tasks
from lakehouse.gold.age import age_s
from lakehouse.gold.manifest import problems
from lakehouse.pipelines.load import Declarations, declarations
from lakehouse.pipelines.model import Gold, Pipeline
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
LEDGER, UNREACHABLE, GOLD = BY_NAME["ledger"], BY_NAME["unreachable"], BY_NAME["gold-stale"]
#: Where no threshold is given, Gold is stale when it misses so many builds.
BUILDS_UNTIL_STALE = 3
#: Those about the control plane.
DECLARATION, DAG_FILE, RUN = BY_NAME["declaration-broken"], BY_NAME["dag-broken"], BY_NAME["run-without-tasks"]
#: Shows broken declarations in Airflow's UI, each of which has an alert of its own.
DECLARATIONS_FILE = "broken_declarations"


def evaluate(pipeline: Pipeline) -> list[str]:
    """Look at a pipeline once, and notify of what fires and what is resolved. What cannot be seen stays as it was.

    :return: names of the pipeline's alerts that are firing
    """
    limits = thresholds()
    alerts = Alerts(AlertStore(), alert_names(pipeline))
    for rule, subject, reason in observations(look(pipeline, limits), limits):
        alerts.observe(f"{rule.name}.{subject}", reason, rule.lasts_s(limits))
    return alerts.firing


def evaluate_airflow(dags: Path) -> list[str]:
    """Judge what no pipeline's look sees: declarations, DAG files and runs; and resolve alerts of tasks and of what is gone.

    The latter are alerts about a pipeline, stage or task that there is no longer, or of a pipeline that is switched off.
    While a declaration or a DAG file is broken, what it holds is not known: its alerts stay.

    :param dags: the folder of the DAG files
    :return: names of the alerts that are firing, but for those of `evaluate`
    """
    declared, files, limits = declarations(), dag_files(dags), thresholds()
    found = {f"{rule.name}.{subject}": (rule, reason) for rule, subject, reason in broken_parts(declared, files)}
    evaluated = {name for pipeline in declared.enabled for name in alert_names(pipeline)}
    unknown = {Path(file).stem for file in declared.problems}
    store = AlertStore()
    alerts = Alerts(store, set(store) - evaluated | set(found))

    for name, alert in alerts:
        if name in found:
            continue
        if alert.resolved_by:
            over = _is_over(alert.resolved_by, alert.since, files, limits.by_hand_for_s)
            alerts.observe(name, None if over else alert.reason)
        elif pipeline_in(name) not in unknown:
            alerts.observe(name, None)
    for name, (rule, reason) in found.items():
        about = pipeline_in(name) if rule is DECLARATION else PLATFORM
        alerts.observe(name, reason, rule.lasts_s(limits), about)
    return alerts.firing


def broken_parts(declared: Declarations, files: DagFiles) -> Iterator[tuple[Rule, str, str]]:
    """What is broken of declarations, DAG files and runs: the rule, its subject and the reason."""
    for problem in problems(declared):
        yield DECLARATION, problem.partition(".yaml:")[0], problem
    for name, error in files.errors.items():
        if name != DECLARATIONS_FILE:
            yield DAG_FILE, name, f"dags/{name}.py cannot be imported: {error}"
    for dag_id, tasks in files.tasks.items():
        if reason := without_tasks(dag_id, tasks):
            yield RUN, dag_id, reason


def _is_over(task: FailedTask, since: float, files: DagFiles, by_hand_for_s: float) -> bool:
    """Whether a task has succeeded again or is in no DAG any longer, or its run by hand is over and done with."""
    if (
        task.succeeded
        or succeeded_since(task, since)
        or (not files.errors and task.task_id not in files.tasks.get(task.dag_id, ()))
    ):
        return True
    return task.by_hand is not None and (time.time() - since > by_hand_for_s or is_done_with(task.dag_id, task.by_hand))


def alert_names(pipeline: Pipeline) -> set[str]:
    """The alerts that `evaluate` looks after."""
    jobs = [stage.job for stage in pipeline.stages.values()]
    of_pipeline = (LEDGER, UNREACHABLE, *([GOLD] if pipeline.gold else []))
    return {f"{rule.name}.{job}" for rule in RULES if rule.judge for job in jobs} | {
        f"{rule.name}.{pipeline.name}" for rule in of_pipeline
    }


@dataclass(frozen=True)
class Seen:
    """What can be seen of a pipeline now.

    :param unused: no event was ever sent: its jobs and tables may not be there yet, and nothing is judged
    :param ledger: None when it could not be read
    :param gold_age_s: for how long Gold has lacked rows of its source; None when it could not be seen, or there is no Gold
    :param problems: what could not be asked
    """

    pipeline: Pipeline
    unused: bool = False
    jobs: tuple[JobHealth, ...] = ()
    ledger: Ledger | None = None
    gold_age_s: float | None = None
    problems: tuple[str, ...] = ()


def look(pipeline: Pipeline, limits: Thresholds) -> Seen:
    """Look at each of a pipeline's jobs, its ledger and its Gold, each by itself: one that cannot be seen hides no other."""
    failed: list[str] = []

    def seen(ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except CANNOT_BE_ASKED as error:
            failed.append(str(error))
            return None

    jobs = [seen(partial(check, flow, limits)) for flow in flows_of(pipeline)]
    ledger = seen(partial(read_ledger, pipeline))
    gold_age_s = seen(partial(age_s, pipeline)) if pipeline.gold else None
    found = tuple(job for job in jobs if job)
    return Seen(pipeline, is_unused(pipeline), found, ledger, gold_age_s, tuple(dict.fromkeys(failed)))


def observations(seen: Seen, limits: Thresholds) -> Iterator[tuple[Rule, str, str | None]]:
    """Each rule that can be judged by that: the rule, its subject, and why it is broken, or None."""
    yield UNREACHABLE, seen.pipeline.name, None if seen.unused else "; ".join(seen.problems) or None
    if seen.unused:
        return
    for job in seen.jobs:
        yield from ((rule, job.job, reason) for rule, reason in judge(job, limits).items())
    if seen.ledger:
        yield LEDGER, seen.pipeline.name, "; ".join(seen.ledger.errors) or None
    if seen.pipeline.gold and seen.gold_age_s is not None:
        yield GOLD, seen.pipeline.name, _stale(seen.pipeline.gold, seen.gold_age_s, limits)


def _stale(gold: Gold, age_s: float, limits: Thresholds) -> str | None:
    limit_s = limits.gold_age_s or BUILDS_UNTIL_STALE * gold.every.total_seconds()
    if age_s <= limit_s:
        return None
    return f"Gold lacks rows that {gold.source} has held for {age_s:,.0f} s (limit {limit_s:,.0f} s)"
