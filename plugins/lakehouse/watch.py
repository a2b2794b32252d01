"""What `platform_alerts` does each minute: every rule against what is, and the alarms that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from airflow.sdk import Variable

from lakehouse.alarms import Alarms, AlarmStore
from lakehouse.health import CANNOT_BE_ASKED, Thresholds, check, declared_flows, judge, nothing_to_judge, thresholds
from lakehouse.health.rules import BY_NAME, Rule
from lakehouse.ledger import read_ledger

PLATFORM = "platform"


def watch(count_tasks: Callable[..., int]) -> list[str]:
    """Look at the whole platform once, and tell what began and what is over. What cannot be seen stays as it was.

    :param count_tasks: the running task instance's `get_ti_count`
    :return: names of the alarms that are on
    """
    alarms = Alarms(AlarmStore())
    limits = thresholds()
    if not nothing_to_judge():
        for rule, subject, reason in observations(limits):
            alarms.observe(f"{rule.name}.{subject}", reason, rule.lasts_s(limits))
    for name, alarm in alarms.tasks().items():
        task = alarm.ended_by
        successes = count_tasks(task["dag_id"], task_ids=[task["task_id"]], states=["success"])
        alarms.observe(name, None if successes > task["successes"] else alarm.reason)
    return alarms.on()


def observations(limits: Thresholds) -> Iterator[tuple[Rule, str, str | None]]:
    """Each rule that can be judged now: the rule, its subject, and what is wrong in words, or None."""
    problems = []
    for flow in declared_flows():
        try:
            job = check(flow, limits)
        except CANNOT_BE_ASKED as error:
            problems.append(str(error))
        else:
            yield from ((rule, flow.job, reason) for rule, reason in judge(job, limits).items())
    if not problems:
        try:
            yield BY_NAME["ledger"], PLATFORM, "; ".join(read_ledger(Variable.get("taxi_topic")).errors) or None
        except CANNOT_BE_ASKED as error:
            problems.append(str(error))
    yield BY_NAME["unreachable"], PLATFORM, "; ".join(dict.fromkeys(problems)) or None
