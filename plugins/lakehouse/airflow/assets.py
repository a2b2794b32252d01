"""Events that trigger a DAG run at once, in addition to its schedule."""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from lakehouse.airflow.triggers.flink import FlinkJobGoneTrigger


def flink_job_gone(jobs: list[str]) -> Asset:
    """The event that a streaming job which should be running is gone."""
    return Asset("flink_job_gone", watchers=[AssetWatcher("flink_job_gone", FlinkJobGoneTrigger(jobs))])
