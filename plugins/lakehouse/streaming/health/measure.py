"""Collects the health of a streaming job from outside: Flink's REST API, table metadata and Kafka's offsets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lakehouse.airflow.hooks.flink import FlinkJobRun, FlinkRestHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, data_files, surplus_files
from lakehouse.maintenance import settings as maintenance
from lakehouse.streaming import record
from lakehouse.streaming.event_time import EventTimeProgress, progress
from lakehouse.streaming.flow import Flow
from lakehouse.streaming.stages import job_state
from lakehouse.streaming.writers import changes_by_others, unknown_writers

MISSING = "MISSING"
SUSPENDED = "SUSPENDED"


@dataclass(frozen=True)
class JobHealth:
    """The health of one job now. Values from Flink are None while the job is not running.

    :param job: `<pipeline>.<stage>`
    :param state: a state of Flink's JobStatus, MISSING, or SUSPENDED (not running, on request)
    :param lag: rows of the source that have not reached the job's tables yet
    :param overdue: rows of the lag that have waited longer than the threshold
    :param commit_age_s: seconds since the last commit to one of its tables; None before the first
    :param data_files: table -> number of data files
    :param surplus_files: table -> number of data files beyond what its bytes would fill
    :param overtaken: overdue rows for which later rows of the same Kafka partition have arrived
    :param overtaken_at: their positions, as text
    :param deleted_unread: events that Kafka deleted before they reached a table
    :param deleted_at: their positions, as text
    :param partition_lag: Kafka partition -> its share of the lag
    :param restarts: failures within the window
    :param checkpoint_age_s: seconds since the last completed checkpoint; before the first, since the start
    :param checkpoint_duration_s: duration of the last completed checkpoint; None before the first
    :param failed_checkpoints: failed checkpoints since the last completed one
    :param backpressure_percent: share of time that the most backpressured subtask is blocked; None while Flink has no value
    :param unknown_writers: other writers of its tables, one sentence each
    :param removals: those of them that may have removed rows
    :param event_time: how far event time has advanced; None for a stage without windows of event time
    :param reasons: why the job is unhealthy; empty if it is healthy
    """

    job: str
    state: str
    lag: int
    overdue: int
    commit_age_s: float | None
    data_files: dict[str, int]
    partition_lag: dict[int, int] = field(default_factory=dict)
    restarts: int | None = None
    checkpoint_age_s: float | None = None
    checkpoint_duration_s: float | None = None
    failed_checkpoints: int | None = None
    backpressure_percent: float | None = None
    overtaken: int = 0
    overtaken_at: str = ""
    deleted_unread: int = 0
    deleted_at: str = ""
    unknown_writers: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    surplus_files: dict[str, int] = field(default_factory=dict)
    event_time: EventTimeProgress | None = None
    reasons: tuple[str, ...] = ()

    @property
    def pipeline(self) -> str:
        """Name of the job's pipeline."""
        return self.job.partition(".")[0]

    @property
    def healthy(self) -> bool:
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        rows = [("state", self.state), ("lag", f"{self.lag:,} rows, {self.overdue:,} of them overdue")]
        rows += [("  by partition", _listed(self.partition_lag))] if self.partition_lag else []
        rows += [("last commit", _age(self.commit_age_s)), ("data files", _listed(self.data_files))]
        rows += [("watermark", str(self.event_time))] if self.event_time else []
        if self.state not in (MISSING, SUSPENDED):
            took = f", took {self.checkpoint_duration_s:.1f} s" if self.checkpoint_duration_s is not None else ""
            pressure = "-" if self.backpressure_percent is None else f"{self.backpressure_percent:.0f} %"
            rows += [
                ("last checkpoint", f"{_age(self.checkpoint_age_s)}{took}, {self.failed_checkpoints} failed since"),
                ("restarts", str(self.restarts)),
                ("backpressure", pressure),
            ]
        rows += [("other writer", found) for found in self.unknown_writers]
        rows += [("UNHEALTHY", reason) for reason in self.reasons]
        return "\n".join([self.job, *(f"  {name:16}{value}" for name, value in rows)])


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:,.0f} s ago"


def _listed(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items()))


def measure(flow: Flow, overdue_s: float, restart_window_s: float, standing_s: float) -> JobHealth:
    """Collect the health of one job now.

    :param standing_s: seconds for which a watermark that stands still is followed back
    :raises FlinkError, AirflowException: Flink, Kafka or the catalog is unavailable; the message says which
    """
    now_ms = int(time.time() * 1000)
    flink, job, found = FlinkRestHook(), job_state(flow.stage), flow.reconcile()
    iceberg = IcebergCatalogHook()
    tables = {**found.tables, **{name: iceberg.lazy_table(name) for name in flow.stage.aggregates.values()}}
    snapshots = {name: table.current_snapshot() for name, table in tables.items()}
    commits = [snapshot.timestamp_ms for snapshot in snapshots.values() if snapshot]
    overdue = found.overdue(overdue_s)
    full = maintenance.thresholds().target_file_bytes
    overtaken = found.overtaken(overdue)
    others = changes_by_others(tables.values())
    seen: dict[str, Any] = {
        "lag": len(found.missing),
        "overdue": len(overdue),
        "overtaken": len(overtaken),
        "overtaken_at": str(overtaken),
        "deleted_unread": len(found.deleted_unread),
        "deleted_at": str(found.deleted_unread),
        "commit_age_s": max(0, now_ms - max(commits)) / 1000 if commits else None,
        "data_files": {name: data_files(snapshot) for name, snapshot in snapshots.items()},
        "surplus_files": {name: surplus_files(snapshot, full) for name, snapshot in snapshots.items()},
        "partition_lag": {**dict.fromkeys(found.source_rows, 0), **found.missing.counts},
        "unknown_writers": (*unknown_writers(job, tables, flink), *(change.text for change in others)),
        "removals": tuple(change.text for change in others if change.removes),
        "event_time": progress(flow.stage, tables, standing_s),
    }
    run = flink.live_run(flow.job)
    if run is None:
        suspended = record.load(job).suspended
        return JobHealth(flow.job, SUSPENDED if suspended else MISSING, **seen)
    return JobHealth(flow.job, run.state, **seen, **_seen_by_flink(flink, run, now_ms, restart_window_s))


def _seen_by_flink(flink: FlinkRestHook, run: FlinkJobRun, now_ms: int, restart_window_s: float) -> dict[str, Any]:
    window_start = now_ms - restart_window_s * 1000
    checkpoints = flink.checkpoints(run.job_id)
    completed = checkpoints["latest"]["completed"]
    last_ms = completed["latest_ack_timestamp"] if completed else run.started_ms
    last_id = completed["id"] if completed else 0
    return {
        "restarts": sum(1 for failure in flink.exceptions(run.job_id) if failure["timestamp"] >= window_start),
        "checkpoint_age_s": max(0, now_ms - last_ms) / 1000,  # clocks of two machines may differ
        "checkpoint_duration_s": completed["end_to_end_duration"] / 1000 if completed else None,
        "failed_checkpoints": sum(
            1 for found in checkpoints["history"] if found["status"] == "FAILED" and found["id"] > last_id
        ),
        "backpressure_percent": flink.backpressure_percent(run.job_id),
    }
