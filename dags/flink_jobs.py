"""
# Flink jobs

Keeps the streaming jobs as `include/sql/` declares them: **Kafka → `bronze` → Iceberg Bronze → `silver` → Iceberg Silver**.

| task | does |
|---|---|
| `wait_for_cluster` | waits until the JobManager, a TaskManager and the SQL Gateway answer |
| `create_topic`, `register_contract`, `create_tables` | what the jobs need, where it is missing; new columns too |
| `deploy_bronze`, `deploy_silver` | see below; each returns what it found, decided and did |
| `check_health` | fails with the reasons when a job runs but rows do not reach its tables |

**Runs** every 5 minutes, within seconds after a job is gone, and whenever you trigger it. A run with nothing to do changes
nothing; two at once deploy once; a run that dies in the middle is taken up by the next.

| a job is found | then |
|---|---|
| running with this SQL | nothing |
| running with other SQL or options | the new SQL is planned; stop with savepoint; start from it; watched to its first commit |
| so upgraded, and failing | the SQL before comes back from the same savepoint, and the task fails |
| not running | starts from the newest complete state that is not older than what its tables hold |
| not running, no such state, tables empty | starts fresh |
| not running, no such state, tables not empty | refused: each row would be written again |

Bronze is upgraded when Silver's old SQL has stopped: no row with a new field passes by a job that does not know it.

**By hand**, with a form:

| param | says |
|---|---|
| `job` | which job the action is for |
| `action` | suspend (stop with savepoint, until resume), restart, savepoint (the job goes on) or start_after_last_row |
| `state_path` | the checkpoint or savepoint to restart from |

A suspended job rings no alarm, however many rows wait for it. `restart` also tries again what was rolled back.
A savepoint stays for a week at least (`iceberg_maintenance` removes it then): copy one that is to last.
`start_after_last_row` is for Bronze when its state is lost: it goes on exactly where its tables end.

**When it is red**: the failed task's log names the part and the next step. A `deploy_*` task that refuses to start a job
protects the tables from doubled rows, and lists the ways on. One that was rolled back stays red until the SQL is mended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, Variable, task
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.assets import FLINK_JOB_GONE
from lakehouse.airflow.dag_policy import Tag, dag_args, default_args
from lakehouse.airflow.operators.flink import FlinkClusterSensor, FlinkJobOperator, FlinkTablesOperator
from lakehouse.streaming.declared import JOBS
from lakehouse.streaming.job import Action

INCLUDE = Path(__file__).parents[1] / "include"
TOPIC_PARTITIONS = 3
ASKED = {
    "action": "{{ params.action if params.job in ('all', task.job) else 'reconcile' }}",
    "state_path": "{{ params.state_path or '' if params.job in ('all', task.job) else '' }}",
}

with DAG(
    "flink_jobs",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/5 * * * *", timezone="UTC"), assets=[FLINK_JOB_GONE]
    ),
    start_date=datetime(2024, 1, 1),
    template_searchpath=str(INCLUDE / "sql"),
    default_args=default_args(retries=1, retry_delay=timedelta(seconds=30), execution_timeout=timedelta(minutes=10)),
    params={
        "job": Param("all", enum=["all", *JOBS], description="Which job the action is for"),
        "action": Param(
            Action.RECONCILE.value,
            enum=[action.value for action in Action],
            description="What to do; see the page of the DAG",
        ),
        "state_path": Param(None, type=["null", "string"], description="Checkpoint or savepoint to restart from"),
    },
    **dag_args(__doc__, Tag.STREAMING),
):
    wait_for_cluster = FlinkClusterSensor(task_id="wait_for_cluster", poke_interval=1, timeout=120)

    @task
    def create_topic() -> str:
        """Kafka topic of the events; the broker creates none by itself."""
        from lakehouse.airflow.hooks.kafka import TopicHook

        retention_ms = int(Variable.get("taxi_topic_retention_ms"))
        return TopicHook(Variable.get("taxi_topic")).ensure(TOPIC_PARTITIONS, retention_ms)

    @task
    def register_contract() -> int:
        """JSON Schema of an event, under the topic's value subject; returns its id."""
        from lakehouse.airflow.hooks.registry import SchemaRegistryHook

        contract = (INCLUDE / "contracts" / "taxi_trip.json").read_text()
        return SchemaRegistryHook().register(f"{Variable.get('taxi_topic')}-value", contract)

    @task
    def check_health() -> list[dict]:
        """State, checkpoints, lag and commits of both jobs; fails with the reasons."""
        from lakehouse.streaming.health import platform_health

        jobs = platform_health()
        if reasons := [reason for job in jobs for reason in job.reasons]:
            raise AirflowException("; ".join(reasons))
        return [job.as_dict() for job in jobs]

    create_tables = FlinkTablesOperator(task_id="create_tables", sql="00-init.sql")
    deploy_bronze = FlinkJobOperator(task_id="deploy_bronze", job="bronze", **ASKED)
    deploy_silver = FlinkJobOperator(task_id="deploy_silver", job="silver", **ASKED)

    wait_for_cluster >> [create_topic(), register_contract(), create_tables] >> deploy_bronze
    create_tables >> deploy_silver
    [deploy_bronze, deploy_silver] >> check_health()
