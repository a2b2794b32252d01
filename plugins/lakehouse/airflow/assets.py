"""Events that start a DAG at once, beside its clock."""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from lakehouse.airflow.triggers.flink import FlinkJobGoneTrigger
from lakehouse.streaming.declared import JOBS

# A streaming job that should run is not there.
FLINK_JOB_GONE = Asset("flink_job_gone", watchers=[AssetWatcher("flink_job_gone", FlinkJobGoneTrigger([*JOBS]))])

# A replay has put another table in Silver's place.
SILVER_REPLACED = Asset("silver_replaced")
