"""Runs the jobs that build a replay's tables: the SQL of the live jobs, rendered with other tables."""

from __future__ import annotations

import hashlib

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow import variables
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.pipelines.model import Stage
from lakehouse.pipelines.script import render, stage_script
from lakehouse.pipelines.statements import statements
from lakehouse.reconciliation import state as states
from lakehouse.reconciliation.reconcile import reconcile
from lakehouse.replay.plan import ReplayPlan
from lakehouse.streaming.cluster import JobCluster
from lakehouse.streaming.job import FlinkJob
from lakehouse.streaming.stages import job_options
from lakehouse.streaming.table_offsets import startup_options

COPY_LIMIT_S = 6_600  # below the limit of its task
COPY_OPTIONS = {"execution.runtime-mode": "batch", "table.dml-sync": "true"}


def building_job(plan: ReplayPlan, stage: Stage) -> FlinkJob:
    """The job that builds a stage's tables: it has its own tables, consumer groups and state."""
    return FlinkJob(
        name=plan.job(stage.name),
        tables=tuple(map(plan.table, stage.tables)),
        state_dir=variables.text("flink_state_dir"),
        script=stage_script(plan.declared, stage, plan.tables, f"-replay-{plan.id}"),
        options=job_options(),
        topic_tables={source: plan.table(sink) for source, sink in stage.topic_tables.items()},
    )


def start(plan: ReplayPlan) -> dict[str, str]:
    """Start the jobs stage by stage, unless they are already running; return job name -> Flink job id."""
    return {plan.job(stage.name): _start(plan, stage) for stage in plan.rebuilt}


def _start(plan: ReplayPlan, stage: Stage) -> str:
    job, cluster, iceberg = building_job(plan, stage), JobCluster(), IcebergCatalogHook()
    if run := cluster.flink.live_run(job.name):
        return run.job_id
    for name in job.tables:
        if iceberg.exists(name):
            iceberg.catalog.purge_table(name)
    if stage.reads_topic:
        _keep_rows(plan, stage, job, cluster)
    known = states.load(stage)
    if known and stage.reads_topic and known.topic_id == plan.topic.topic_id():
        states.save(plan.building(stage), known.of_topic())
    offsets = startup_options({int(partition): offset for partition, offset in plan.start.items()})
    job_id = hashlib.md5(f"{job.name}|{len(cluster.flink.runs(job.name))}".encode(), usedforsecurity=False).hexdigest()
    cluster.submit(job, job_id, None, dict.fromkeys(job.topic_tables, offsets))
    return job_id


def _keep_rows(plan: ReplayPlan, stage: Stage, job: FlinkJob, cluster: JobCluster) -> None:
    """Copy the rows before the start from the live tables, without columns that are new or no longer declared."""
    *set_up, _ = statements(job.script)
    copying = plan.copying(stage.name)
    cluster.cancel(copying)  # left over from an earlier try
    try:
        with cluster.gateway.session({**job.options, **COPY_OPTIONS, "pipeline.name": copying.name}) as session:
            for statement in set_up:
                session.execute(statement, COPY_LIMIT_S)
            copies = [
                (live, plan.table(live), _shared_columns(live, plan.table(live))) for live in stage.sinks.values()
            ]
            for statement in statements(render("replay/keep-rows.sql", copies=copies, before_start=plan.before_start)):
                session.execute(statement, COPY_LIMIT_S)
    except BaseException:
        cluster.cancel(copying)  # otherwise Flink would continue it
        raise


def _shared_columns(live: str, built: str) -> list[str]:
    iceberg = IcebergCatalogHook()
    held = {field.name for field in iceberg.table(live).schema().fields}
    return [field.name for field in iceberg.table(built).schema().fields if field.name in held]


def rows_behind(plan: ReplayPlan) -> dict[str, int]:
    """Stage -> number of rows of its source that are not in its new tables yet.

    :raises AirflowFailException: a job is gone
    """
    cluster = JobCluster()
    behind = {}
    for stage in plan.rebuilt:
        if cluster.flink.live_run(plan.job(stage.name)) is None:
            raise AirflowFailException(
                f"Flink job {plan.job(stage.name)} is gone: nothing was switched. Next: trigger replay again; it starts from "
                "scratch"
            )
        behind[stage.name] = len(reconcile(plan.declared, plan.building(stage)).missing)
    return behind
