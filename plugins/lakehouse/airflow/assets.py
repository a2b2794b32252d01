"""Events that start a DAG at once, besides its schedule."""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from lakehouse.airflow.triggers.flink import FlinkJobGoneTrigger


def flink_job_gone(jobs: list[str]) -> Asset:
    """A streaming job that should run is not there."""
    return Asset("flink_job_gone", watchers=[AssetWatcher("flink_job_gone", FlinkJobGoneTrigger(jobs))])
