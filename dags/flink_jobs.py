"""
# Flink jobs

Keeps the streaming jobs as `include/sql/` declares them: **Kafka → `bronze` → Iceberg Bronze → `silver` → Iceberg Silver**.

| task | does |
|---|---|
| `wait_for_cluster` | waits until the JobManager, a TaskManager and the SQL Gateway answer |
| `create_topic`, `register_contract`, `create_tables` | what the jobs need, created where it is missing |
| `deploy_bronze`, `deploy_silver` | running with this SQL: nothing; other SQL: start from a savepoint; else: newest checkpoint |
| `check_health` | fails with the reasons when a job runs but rows do not reach its tables |

**Runs** every 5 minutes and whenever you trigger it: a run with nothing to do changes nothing, and two runs at once deploy once.

**When it is red**: the failed task's log names the part and the next step. A `deploy_*` task that refuses a fresh start
protects the tables from doubled rows: bring the job's state back under `flink_state_dir`, then clear the task.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Variable, task
from airflow.sdk.exceptions import AirflowException

from lakehouse.dag_policy import Tag, dag_args, default_args
from lakehouse.operators.flink import FlinkClusterSensor, FlinkJobOperator, FlinkSqlOperator

INCLUDE = Path(__file__).parents[1] / "include"
TOPIC_PARTITIONS = 3

with DAG(
    "flink_jobs",
    schedule="*/5 * * * *",
    start_date=datetime(2024, 1, 1),
    template_searchpath=str(INCLUDE / "sql"),
    default_args=default_args(retries=1, retry_delay=timedelta(seconds=30), execution_timeout=timedelta(minutes=10)),
    **dag_args(__doc__, Tag.STREAMING),
):
    wait_for_cluster = FlinkClusterSensor(task_id="wait_for_cluster", poke_interval=3, timeout=120)

    @task
    def create_topic() -> str:
        """Kafka topic of the events; the broker creates none by itself."""
        from lakehouse.hooks.kafka import TopicHook

        retention_ms = int(Variable.get("taxi_topic_retention_ms"))
        return TopicHook(Variable.get("taxi_topic")).ensure(TOPIC_PARTITIONS, retention_ms)

    @task
    def register_contract() -> int:
        """JSON Schema of an event, under the topic's value subject; returns its id."""
        from lakehouse.hooks.registry import SchemaRegistryHook

        contract = (INCLUDE / "contracts" / "taxi_trip.json").read_text()
        return SchemaRegistryHook().register(f"{Variable.get('taxi_topic')}-value", contract)

    @task
    def check_health() -> list[dict]:
        """State, checkpoints, lag and commits of both jobs; fails with the reasons."""
        from lakehouse.health import platform_health

        jobs = platform_health()
        if reasons := [reason for job in jobs for reason in job.reasons]:
            raise AirflowException("; ".join(reasons))
        return [job.as_dict() for job in jobs]

    create_tables = FlinkSqlOperator(task_id="create_tables", sql="00-init.sql")
    deploy_bronze = FlinkJobOperator(
        task_id="deploy_bronze", job="bronze", sql=["00-init.sql", "05-bronze.sql"], sink="bronze.raw_trips"
    )
    deploy_silver = FlinkJobOperator(
        task_id="deploy_silver", job="silver", sql=["00-init.sql", "06-silver.sql"], sink="silver.cleaned_trips"
    )

    (
        wait_for_cluster
        >> [create_topic(), register_contract(), create_tables]
        >> deploy_bronze
        >> deploy_silver
        >> check_health()
    )
