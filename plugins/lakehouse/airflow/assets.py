"""Events that start a DAG at once, besides its schedule."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from lakehouse.airflow.triggers.flink import FlinkJobGoneTrigger
from lakehouse.pipelines.model import Pipeline

#: What a replay emits; at run time it names the pipeline whose tables were replaced.
TABLES_REPLACED = AssetAlias("tables_replaced")


def flink_job_gone(jobs: list[str]) -> Asset:
    """A streaming job that should run is not there."""
    return Asset("flink_job_gone", watchers=[AssetWatcher("flink_job_gone", FlinkJobGoneTrigger(jobs))])


def tables_replaced(pipeline: Pipeline) -> Asset:
    """A replay has put other tables in the place of a pipeline's."""
    return Asset(f"tables_replaced.{pipeline.name}")
