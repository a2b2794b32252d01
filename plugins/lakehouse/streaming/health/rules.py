"""All rules of health and alerting: when a rule is broken, the reason, and for how long it must be broken to fire an alert.

A rule's name is also the name of its section in `docs/runbook.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from .measure import MISSING, SUSPENDED, JobHealth


class Thresholds(BaseModel):
    """Thresholds of the rules, and for how long they must be broken before an alert fires (variable `health_thresholds`).

    :param checkpoint_age_s: seconds since the last completed checkpoint; should be several checkpoint intervals
    :param checkpoint_duration_s: duration of a checkpoint
    :param failed_checkpoints: consecutive failed checkpoints
    :param restarts: failures within `restart_window_s`
    :param overdue_s: seconds within which a row of the source must reach one of the job's tables
    :param missing_for_s: seconds for which there must be overdue rows that later rows have overtaken
    :param lag: rows of the source that have not reached the job's tables yet
    :param lag_for_s: seconds for which the lag must be above the threshold
    :param backpressure_percent: share of time that the most backpressured subtask is blocked by downstream operators
    :param backpressure_for_s: seconds for which backpressure must be above the threshold
    :param data_files: data files of a table beyond what its bytes would fill
    :param data_files_for_s: seconds for which there must be too many; should be longer than the interval of maintenance
    :param watermark_lag_s: seconds of event time from the watermark to the newest event
    :param watermark_standing_s: seconds for which rows are committed without the watermark advancing
    :param alarm_for_s: seconds that other rules must be broken before their alert fires
    :param gold_age_s: seconds for which Gold may lack rows of its source; None: three times the pipeline's `every`
    :param manual_run_for_s: seconds after which the alert of a failed manual run resolves by itself
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    checkpoint_age_s: PositiveFloat
    checkpoint_duration_s: PositiveFloat
    failed_checkpoints: PositiveInt
    restarts: PositiveInt
    restart_window_s: PositiveFloat
    overdue_s: PositiveFloat
    missing_for_s: NonNegativeFloat
    lag: NonNegativeInt
    lag_for_s: NonNegativeFloat
    backpressure_percent: NonNegativeFloat
    backpressure_for_s: NonNegativeFloat
    data_files: NonNegativeInt
    data_files_for_s: NonNegativeFloat
    watermark_lag_s: PositiveFloat
    watermark_standing_s: PositiveFloat
    alarm_for_s: NonNegativeFloat
    manual_run_for_s: NonNegativeFloat
    gold_age_s: PositiveFloat | None = None


Evaluate = Callable[[JobHealth, Thresholds], str | None]


@dataclass(frozen=True)
class Rule:
    """One rule that people are alerted about.

    :param name: also the anchor of its section in the runbook
    :param evaluate: returns why a job breaks the rule, or None; missing if the rule is not about a job
    :param lasts: name of the threshold with the seconds that it must be broken before the alert fires; None: fires at once
    :param unhealthy: a job that breaks it is unhealthy, so Gold is not built from its tables
    :param needs_job: it can only be evaluated while Flink has the job
    :param even_suspended: it is also evaluated while the job is suspended, when a lag is intended
    """

    name: str
    evaluate: Evaluate | None = None
    lasts: str | None = "alarm_for_s"
    unhealthy: bool = True
    needs_job: bool = True
    even_suspended: bool = False

    def lasts_s(self, limits: Thresholds) -> float:
        """Seconds that it must be broken before the alert fires."""
        return getattr(limits, self.lasts) if self.lasts else 0


def _missing(job: JobHealth, limits: Thresholds) -> str | None:
    if job.state == MISSING:
        return f"Flink job {job.job} is gone; the DAG flink_jobs deploys it"
    return None


def _not_running(job: JobHealth, limits: Thresholds) -> str | None:
    if job.state != "RUNNING":
        return f"Flink job {job.job} is {job.state}"
    return None


def _restarts(job: JobHealth, limits: Thresholds) -> str | None:
    if (job.restarts or 0) >= limits.restarts:
        return f"Flink job {job.job} failed {job.restarts} times in the last {limits.restart_window_s:g} s"
    return None


def _checkpoint_late(job: JobHealth, limits: Thresholds) -> str | None:
    if (job.checkpoint_age_s or 0) >= limits.checkpoint_age_s:
        age = f"{job.checkpoint_age_s:.0f} s (limit {limits.checkpoint_age_s:g} s)"
        return f"Flink job {job.job} has completed no checkpoint for {age}"
    return None


def _checkpoint_slow(job: JobHealth, limits: Thresholds) -> str | None:
    if (job.checkpoint_duration_s or 0) >= limits.checkpoint_duration_s:
        took = f"{job.checkpoint_duration_s:.0f} s (limit {limits.checkpoint_duration_s:g} s)"
        return f"the last checkpoint of Flink job {job.job} took {took}"
    return None


def _checkpoint_failing(job: JobHealth, limits: Thresholds) -> str | None:
    if (job.failed_checkpoints or 0) >= limits.failed_checkpoints:
        return f"the last {job.failed_checkpoints} checkpoints of Flink job {job.job} failed"
    return None


def _commits_stale(job: JobHealth, limits: Thresholds) -> str | None:
    if late := job.overdue - job.overtaken:
        age = job.commit_age_s
        committed = "there was no commit yet" if age is None else f"the last commit is {age:.0f} s old"
        return f"{late:,} rows older than {limits.overdue_s:g} s have not reached {' or '.join(job.data_files)}; {committed}"
    return None


def _rows_missing(job: JobHealth, limits: Thresholds) -> str | None:
    tables = ", ".join(job.data_files)
    if job.overtaken:
        causes = [*job.removals]
        if job.deleted_unread:
            causes.append(f"Kafka deleted {job.deleted_unread:,} events before they were read")
        return "; ".join(
            [
                (
                    f"{job.overtaken:,} rows older than {limits.overdue_s:g} s are in none of {tables}, though later ones are: "
                    f"{job.overtaken_at}"
                ),
                *causes,
            ]
        )
    if job.deleted_unread:
        return f"Kafka deleted {job.deleted_unread:,} events before they were read; none of {tables} holds {job.deleted_at}"
    return None


def _lag(job: JobHealth, limits: Thresholds) -> str | None:
    if job.lag > limits.lag:
        of = ", ".join(f"{partition}: {rows:,}" for partition, rows in sorted(job.partition_lag.items()))
        where = f"; by Kafka partition {of}" if of else ""
        return f"{job.lag:,} rows wait for Flink job {job.job} (limit {limits.lag:,}){where}"
    return None


def _backpressure(job: JobHealth, limits: Thresholds) -> str | None:
    if (job.backpressure_percent or 0) > limits.backpressure_percent:
        share = f"{job.backpressure_percent:.0f} % of its time (limit {limits.backpressure_percent:g} %)"
        return f"an operator of Flink job {job.job} is blocked by the next one {share}"
    return None


def _data_files(job: JobHealth, limits: Thresholds) -> str | None:
    many = [f"{table} has {files:,}" for table, files in job.surplus_files.items() if files > limits.data_files]
    if many:
        return f"{', '.join(many)} data files more than its data would fill (limit {limits.data_files:,})"
    return None


def _watermark_behind(job: JobHealth, limits: Thresholds) -> str | None:
    found = job.event_time
    if found and found.lag_s > limits.watermark_lag_s:
        return (
            f"the watermark of Flink job {job.job}, {found.watermark:%Y-%m-%d %H:%M:%S}, is {found.lag_s:,.0f} s of event time "
            f"behind the newest event (limit {limits.watermark_lag_s:g} s): its windows stay open"
        )
    return None


def _watermark_standing(job: JobHealth, limits: Thresholds) -> str | None:
    found = job.event_time
    if found and found.standing_s >= limits.watermark_standing_s:
        return (
            f"the watermark of Flink job {job.job} stands at {found.watermark:%Y-%m-%d %H:%M:%S} although rows were committed "
            f"for {found.standing_s:.0f} s (limit {limits.watermark_standing_s:g} s)"
        )
    return None


def _unknown_writer(job: JobHealth, limits: Thresholds) -> str | None:
    return "; ".join(job.unknown_writers) or None


RULES = (
    Rule("job-missing", _missing, needs_job=False),
    Rule("job-not-running", _not_running),
    Rule("restarts", _restarts),
    Rule("checkpoint-late", _checkpoint_late),
    Rule("checkpoint-slow", _checkpoint_slow),
    Rule("checkpoint-failing", _checkpoint_failing),
    Rule("commits-stale", _commits_stale, needs_job=False),
    Rule("rows-missing", _rows_missing, lasts="missing_for_s", needs_job=False, even_suspended=True),
    Rule("lag", _lag, lasts="lag_for_s", unhealthy=False, needs_job=False),
    Rule("backpressure", _backpressure, lasts="backpressure_for_s", unhealthy=False),
    Rule("data-files", _data_files, lasts="data_files_for_s", unhealthy=False, needs_job=False, even_suspended=True),
    Rule("watermark-behind", _watermark_behind, unhealthy=False, needs_job=False),
    Rule("watermark-standing", _watermark_standing, unhealthy=False, needs_job=False),
    Rule("unknown-writer", _unknown_writer, lasts=None, unhealthy=False, needs_job=False, even_suspended=True),
    Rule("unreachable"),
    Rule("ledger"),
    Rule("gold-stale"),
    Rule("declaration-broken", lasts=None),
    Rule("dag-broken", lasts=None),
    Rule("run-without-tasks"),
    Rule("task-failed", lasts=None),
    Rule("dbt-failed", lasts=None),
    Rule("gold-held-back", lasts=None),
    Rule("maintenance-failed", lasts=None),
)
BY_NAME = {rule.name: rule for rule in RULES}


def evaluate_job(job: JobHealth, limits: Thresholds) -> dict[Rule, str | None]:
    """Each rule that can be evaluated now, with the reason why it is broken, or None."""
    of_jobs = {rule: rule.evaluate for rule in RULES if rule.evaluate}
    if job.state == SUSPENDED:
        return {rule: evaluate(job, limits) if rule.even_suspended else None for rule, evaluate in of_jobs.items()}
    return {
        rule: evaluate(job, limits)
        for rule, evaluate in of_jobs.items()
        if not (rule.needs_job and job.state == MISSING)
    }
