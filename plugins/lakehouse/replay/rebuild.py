"""The jobs that build a layer beside the live one: the same SQL, other tables."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.statements import statements
from lakehouse.replay.plan import ReplayPlan
from lakehouse.streaming.cluster import JobCluster
from lakehouse.streaming.declared import JOBS
from lakehouse.streaming.job import FlinkJob
from lakehouse.streaming.table_offsets import startup_options

COPY_LIMIT_S = 3600
COPY_OPTIONS = {"execution.runtime-mode": "batch", "table.dml-sync": "true"}


def beside(job: FlinkJob, plan: ReplayPlan) -> FlinkJob:
    """The job as it builds beside the live one: its own tables, consumer groups and state."""
    script = job.script
    for layer in plan.layers:
        script = re.sub(rf"\biceberg_catalog\.{layer}\b", f"iceberg_catalog.{plan.namespace(layer)}", script)
    script = re.sub(r"('properties\.group\.id' = '[^']*)'", rf"\1-replay-{plan.id}'", script)
    return replace(job, name=plan.job(job.name), script=script, tables=tuple(map(plan.table, job.tables)))


def start(job: FlinkJob, plan: ReplayPlan, keep: str) -> str:
    """Start building a layer, or find that it is being built; return the id of the Flink job.

    :param job: the job as it builds beside
    :param keep: SQL that brings rows along from the live tables before the job starts
    """
    cluster = JobCluster()
    if run := cluster.flink.live_run(job.name):
        return run.job_id
    iceberg = IcebergCatalogHook()
    for name in job.tables:
        if iceberg.catalog.table_exists(name):
            iceberg.catalog.purge_table(name)
    if keep:
        *set_up, _ = statements(job.script)
        with cluster.gateway.session({**job.options, **COPY_OPTIONS}) as session:
            for statement in (*set_up, *statements(keep)):
                session.execute(statement, COPY_LIMIT_S)
    offsets = startup_options({int(partition): offset for partition, offset in plan.start.items()})
    job_id = hashlib.md5(f"{job.name}|{len(cluster.flink.runs(job.name))}".encode()).hexdigest()
    cluster.submit(job, job_id, None, dict.fromkeys(job.kafka_sources, offsets))
    return job_id


def rows_behind(plan: ReplayPlan, topic: TopicHook) -> dict[str, int]:
    """Layer -> rows of its source that are not in the tables built beside yet; below zero: doubled rows.

    :raises AirflowFailException: a job that builds is not there any more
    """
    cluster, iceberg = JobCluster(), IcebergCatalogHook()

    behind = {}
    for layer in plan.layers:
        if cluster.flink.live_run(plan.job(layer)) is None:
            raise AirflowFailException(
                f"Flink job {plan.job(layer)} is gone: nothing was switched. Trigger taxi_replay again, it begins anew."
            )
        arrived = iceberg.rows(*map(plan.table, JOBS[layer].tables))
        at_source = (
            sum(topic.end_offsets().values()) if layer == "bronze" else iceberg.rows(plan.table("bronze.raw_trips"))
        )
        behind[layer] = at_source - arrived
    return behind
