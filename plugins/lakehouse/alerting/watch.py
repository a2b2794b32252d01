"""What `platform_alerts` does each minute: every rule against what is, and the alarms that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from airflow.sdk import Variable

from lakehouse.alerting.alarms import Alarms, AlarmStore
from lakehouse.quality.ledger import Ledger, read_ledger
from lakehouse.streaming.health import (
    CANNOT_BE_ASKED,
    JobHealth,
    Thresholds,
    check,
    declared_flows,
    judge,
    nothing_to_judge,
    thresholds,
)
from lakehouse.streaming.health.rules import BY_NAME, Rule

PLATFORM = "platform"


def watch(count_tasks: Callable[..., int]) -> list[str]:
    """Look at the whole platform once, and tell what began and what is over. What cannot be seen stays as it was.

    :param count_tasks: the running task instance's `get_ti_count`
    :return: names of the alarms that are on
    """
    alarms = Alarms(AlarmStore())
    limits = thresholds()
    if not nothing_to_judge():
        for rule, subject, reason in observations(look(limits), limits):
            alarms.observe(f"{rule.name}.{subject}", reason, rule.lasts_s(limits))
    for name, alarm in alarms.tasks().items():
        task = alarm.ended_by
        successes = count_tasks(task["dag_id"], task_ids=[task["task_id"]], states=["success"])
        alarms.observe(name, None if successes > task["successes"] else alarm.reason)
    return alarms.on()


@dataclass(frozen=True)
class Seen:
    """What can be seen of the platform now.

    :param ledger: None when it could not be read
    :param problems: what could not be asked, in words
    """

    jobs: tuple[JobHealth, ...]
    ledger: Ledger | None
    problems: tuple[str, ...]


def look(limits: Thresholds) -> Seen:
    """Look at each streaming job, and at the ledger where every job could be seen."""
    jobs, problems, ledger = [], [], None
    for flow in declared_flows():
        try:
            jobs.append(check(flow, limits))
        except CANNOT_BE_ASKED as error:
            problems.append(str(error))
    if not problems:
        try:
            ledger = read_ledger(Variable.get("taxi_topic"))
        except CANNOT_BE_ASKED as error:
            problems.append(str(error))
    return Seen(tuple(jobs), ledger, tuple(dict.fromkeys(problems)))


def observations(seen: Seen, limits: Thresholds) -> Iterator[tuple[Rule, str, str | None]]:
    """Each rule that can be judged by that: the rule, its subject, and what is wrong in words, or None."""
    for job in seen.jobs:
        yield from ((rule, job.job, reason) for rule, reason in judge(job, limits).items())
    if seen.ledger:
        yield BY_NAME["ledger"], PLATFORM, "; ".join(seen.ledger.errors) or None
    yield BY_NAME["unreachable"], PLATFORM, "; ".join(seen.problems) or None
