"""Faults during the maintenance of a table, and maintenance itself without pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from demo.main_job import TABLES
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.maintenance.procedures import rewrite_job
from lakehouse.maintenance.settings import Operation

if TYPE_CHECKING:
    from chaos.stage import Stage
    from lakehouse.pipelines.model import Pipeline

DAG = "iceberg_maintenance"
TABLE = TABLES["bronze"]  # new small files with each checkpoint, so maintenance is always due
#: Expire and delete everything that no writer or reader needs.
ALL_BUT_THE_LAST = {"snapshot_age_s": 1, "retain_last": 1}
OPERATIONS = [operation.value for operation in Operation]
WITHOUT_PAUSE_S = 600


def requested(*operations: str, tables: list[str] | None = None) -> dict[str, object]:
    """The params of a run that performs these operations immediately."""
    return {"tables": tables, "operations": list(operations), "thresholds": ALL_BUT_THE_LAST}


def job_runs(pipeline: Pipeline) -> dict[str, tuple[str, int]]:
    """Streaming job -> id of its run, and its number of failures."""
    flink = FlinkRestHook()
    jobs = [declared.job for declared in pipeline.stages.values()]
    found = {job: flink.live_run(job).job_id for job in jobs}
    return {job: (job_id, len(flink.exceptions(job_id))) for job, job_id in found.items()}


def killed_during_rewrite(*names: str) -> Callable[[Stage], None]:
    """Kill services while Flink rewrites a table's files, before or between commits."""

    def strike(stage: Stage) -> None:
        stage.at_rest(DAG)
        stage.job.api.trigger(DAG, requested(Operation.REWRITE_DATA_FILES, tables=[TABLE]))
        stage.await_flink("a rewrite", lambda: stage.flink.live_run(rewrite_job(TABLE)))
        stage.kill(*names)

    return strike


def without_pause(stage: Stage) -> None:
    """Perform all operations on all tables, repeatedly.

    :raises RuntimeError: a run failed, or a streaming job was restarted
    """
    before = job_runs(stage.job.pipeline)
    end = time.monotonic() + WITHOUT_PAUSE_S
    runs = 0
    while time.monotonic() < end:
        stage.at_rest(DAG)
        run = stage.job.api.trigger(DAG, requested(*OPERATIONS))
        stage.at_rest(DAG)
        if stage.job.api.state(DAG, run) != "success":
            raise RuntimeError(stage.job.api.describe_failure(DAG, run))
        runs += 1
        stage.job.progress.done(f"  {DAG}: {runs} runs")
    if (after := job_runs(stage.job.pipeline)) != before:
        raise RuntimeError(f"the streaming jobs were restarted: {before} before, {after} after")
