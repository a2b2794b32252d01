"""Finds unknown writers of a stage's tables: Flink's commits name their job, and the record lists the jobs that were started."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.airflow.hooks.iceberg import summary_of
from lakehouse.streaming import record as records
from lakehouse.streaming.cluster import FINGERPRINT
from lakehouse.streaming.job import JobState
from lakehouse.streaming.record import JobRecord
from lakehouse.streaming.state import writer_of
from lakehouse.tables.history import ForeignChange, foreign_changes, snapshots_since

if TYPE_CHECKING:
    from pyiceberg.table import Table

#: A writer without a commit for this long is assumed to have ended.
COMMITTED_WITHIN_S = 3_600


def writers(table: Table, since_ms: int = 0) -> list[str]:
    """Flink's ids of the jobs that committed to a table since then, as far as its snapshots have not expired."""
    summaries = map(summary_of, snapshots_since(table, since_ms))
    return list(dict.fromkeys(summary["flink.job-id"] for summary in summaries if "flink.job-id" in summary))


def unknown_writers(job: JobState, tables: Mapping[str, Table], flink: FlinkRestHook) -> tuple[str, ...]:
    """Writers of a job's tables within the last hour that `flink_jobs` did not start, one sentence each.

    :param tables: the tables that the job writes, by name
    :raises FlinkError: Flink cannot be asked for a writer's name
    """
    since_ms = int((time.time() - COMMITTED_WITHIN_S) * 1000)
    try:
        started = _started(records.load(job))
    except AirflowException:  # the record is damaged: `flink_jobs` reports it
        return ()
    unknown = [
        (name, writer)
        for name, table in tables.items()
        for writer in writers(table, since_ms)
        if not writer.startswith(started)
    ]
    runs = {run.job_id: run for run in flink.all_runs()} if unknown else {}
    return tuple(
        f"table {name} is written by Flink job {f'{runs[writer].name} ({writer})' if writer in runs else writer}, which "
        "flink_jobs did not start"
        for name, writer in unknown
        # Should the record be lost, our own runs are recognized by their fingerprint.
        if not (writer in runs and FINGERPRINT in flink.parameters(writer))
    )


def changes_by_others(tables: Iterable[Table]) -> list[ForeignChange]:
    """Changes of tables within the last hour by programs other than Flink jobs."""
    since_ms = int((time.time() - COMMITTED_WITHIN_S) * 1000)
    return [change for table in tables for change in foreign_changes(table, since_ms)]


def _started(record: JobRecord) -> tuple[str, ...]:
    """Job ids, or prefixes of them, in the record: submissions, and the runs that they were restored from."""
    return tuple(
        job_id
        for start in record.starts
        for job_id in (
            start.job_id,
            *([writer_of(start.restored_from)] if start.restored_from else []),
            *(commit.job_id for commit in start.after),
        )
    )
