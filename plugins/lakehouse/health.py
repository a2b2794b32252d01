"""Health of a streaming job: not only RUNNING, but rows reaching its tables in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from lakehouse.hooks.flink import FlinkError, FlinkRestHook
from lakehouse.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.hooks.kafka import TopicHook

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Thresholds:
    """When a job counts as unhealthy (variable `health_thresholds`).

    :param checkpoint_age_s: seconds since the last completed checkpoint
    :param checkpoint_duration_s: seconds that a checkpoint took
    :param restarts: failures within `restart_window_s`
    :param overdue_s: seconds within which a row of the source must be in one of the job's tables
    """

    checkpoint_age_s: float
    checkpoint_duration_s: float
    restarts: int
    restart_window_s: float
    overdue_s: float


@dataclass(frozen=True)
class JobHealth:
    """One job as seen now.

    :param restarts: failures within the window
    :param checkpoint_age_s: seconds since the last completed checkpoint, None before the first
    :param lag: rows that the source holds and the job's tables do not yet
    :param overdue: those of them that are older than the threshold
    :param commit_age_s: seconds since the last commit to one of its tables, None before the first
    :param reasons: why the job is unhealthy, in words; empty when it is healthy
    """

    job: str
    state: str
    restarts: int
    checkpoint_age_s: float | None
    checkpoint_duration_s: float | None
    lag: int
    overdue: int
    commit_age_s: float | None
    reasons: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Flow:
    """What a job moves: rows of a source into tables.

    :param sinks: tables that together receive one row for each row of the source
    :param source_rows: rows that the source held at a moment (epoch milliseconds)
    """

    job: str
    sinks: tuple[str, ...]
    source_rows: Callable[[int], int]

    def pending(self) -> int:
        """Rows of the source that are in none of the tables yet."""
        iceberg = IcebergCatalogHook()
        arrived = sum(row_count(iceberg.table(name)) for name in self.sinks)
        return max(0, self.source_rows(int(time.time() * 1000)) - arrived)


def platform_flows(topic: str) -> tuple[Flow, Flow]:
    """Bronze and Silver: from the topic to Bronze, from Bronze to Silver."""
    kafka = TopicHook(topic)

    def events(epoch_ms: int) -> int:
        return sum(kafka.offsets_at(epoch_ms).values())

    def bronze_rows(epoch_ms: int) -> int:
        return _rows_at(IcebergCatalogHook().table("bronze.raw_trips"), epoch_ms)

    return (
        Flow("bronze", ("bronze.raw_trips", "bronze.rejected_events"), events),
        Flow("silver", ("silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips"), bronze_rows),
    )


def check(flow: Flow, limits: Thresholds) -> JobHealth:
    """Look at one job now.

    :raises FlinkError, AirflowException: Flink, Kafka or the catalog cannot be asked; the message says which
    """
    now_ms = int(time.time() * 1000)
    iceberg = IcebergCatalogHook()
    tables = [iceberg.table(name) for name in flow.sinks]
    arrived = sum(row_count(table) for table in tables)
    commits = [snapshot.timestamp_ms for table in tables if (snapshot := table.current_snapshot())]
    commit_age = (now_ms - max(commits)) / 1000 if commits else None
    overdue = max(0, flow.source_rows(now_ms - int(limits.overdue_s * 1000)) - arrived)
    lag = max(overdue, flow.source_rows(now_ms) - arrived)

    flink = FlinkRestHook()
    run = flink.live_run(flow.job)
    if run is None:
        reason = f"Flink job {flow.job} is not there; the DAG flink_jobs deploys it"
        return JobHealth(flow.job, "MISSING", 0, None, None, lag, overdue, commit_age, (reason,))

    window_start = now_ms - limits.restart_window_s * 1000
    restarts = sum(1 for failure in flink.exceptions(run.job_id) if failure["timestamp"] >= window_start)
    completed = flink.checkpoints(run.job_id)["latest"]["completed"]
    checkpoint_age = (now_ms - completed["latest_ack_timestamp"]) / 1000 if completed else None
    duration = completed["end_to_end_duration"] / 1000 if completed else None
    since_start = (now_ms - run.started_ms) / 1000

    reasons = []
    if run.state != "RUNNING":
        reasons.append(f"Flink job {flow.job} is {run.state}")
    if restarts >= limits.restarts:
        reasons.append(f"Flink job {flow.job} failed {restarts} times in the last {limits.restart_window_s:g} s")
    if (checkpoint_age if checkpoint_age is not None else since_start) > limits.checkpoint_age_s:
        reasons.append(
            f"Flink job {flow.job} has completed no checkpoint for {checkpoint_age or since_start:.0f} s "
            f"(limit {limits.checkpoint_age_s:g} s)"
        )
    if duration is not None and duration > limits.checkpoint_duration_s:
        reasons.append(
            f"the last checkpoint of Flink job {flow.job} took {duration:.0f} s (limit {limits.checkpoint_duration_s:g} s)"
        )
    if overdue:
        committed = "there was no commit yet" if commit_age is None else f"the last commit is {commit_age:.0f} s old"
        reasons.append(
            f"{overdue:,} rows older than {limits.overdue_s:g} s have not reached {' or '.join(flow.sinks)}; {committed}"
        )
    return JobHealth(flow.job, run.state, restarts, checkpoint_age, duration, lag, overdue, commit_age, tuple(reasons))


def _rows_at(table: Table, epoch_ms: int) -> int:
    """Rows of the newest snapshot that was current at that moment, 0 before the first."""
    snapshot = table.snapshot_as_of_timestamp(epoch_ms)
    return int(snapshot.summary["total-records"]) if snapshot and snapshot.summary else 0


def platform_health() -> list[JobHealth]:
    """Both streaming jobs now, judged by the variable `health_thresholds`.

    :raises FlinkError, AirflowException: Flink, Kafka or the catalog cannot be asked; the message says which
    """
    from airflow.sdk import Variable

    limits = Thresholds(**Variable.get("health_thresholds", deserialize_json=True))
    return [check(flow, limits) for flow in platform_flows(Variable.get("taxi_topic"))]


def unhealthy_reasons() -> list[str]:
    """What is wrong with the streaming jobs, in words; a part that cannot be asked is one of the reasons."""
    try:
        return [reason for job in platform_health() for reason in job.reasons]
    except (FlinkError, AirflowException) as error:
        return [str(error)]


def nothing_to_judge() -> bool:
    """Whether no event was ever sent: a new platform, whose jobs may not be there yet, is not unhealthy."""
    from airflow.sdk import Variable

    try:
        return TopicHook(Variable.get("taxi_topic")).is_unused()
    except AirflowException:
        return False  # that Kafka does not answer is for `unhealthy_reasons` to say
