"""
# Flink jobs

Keeps the streaming jobs of all pipelines running as `include/pipelines/` declares them, one job per stage: topic → `bronze` →
Iceberg → `silver` → Iceberg.

| task | does |
|---|---|
| `wait_for_cluster` | waits until the JobManager, a TaskManager and the SQL Gateway answer |
| `<pipeline>.create_topic` | creates the topic if it is missing, and sets its retention |
| `<pipeline>.register_contract` | registers the contract in the schema registry |
| `<pipeline>.create_tables` | creates missing tables, and adds new columns |
| `<pipeline>.deploy_<stage>` | see below; returns what it found and did |
| `<pipeline>.check_health` | fails with the reasons if rows do not reach the tables; its log names other jobs that write them |

Each pipeline is a task group: if one fails, the others continue. For a pipeline with `enabled: false`, `stop_<stage>` stops the
jobs with a savepoint; its tables stay.

**Runs** every 5 minutes, within seconds of a job disappearing, and whenever you trigger it. A run that finds nothing to do
changes nothing, two simultaneous runs deploy once, and a run that dies half-way is continued by the next one.

| state of the job | action |
|---|---|
| running with this SQL | nothing |
| running with other SQL or options | plan the new SQL; stop with a savepoint; start from it; watch it until its first commit |
| failing after such an upgrade | the last stable SQL returns from the same savepoint, and the task fails |
| not running | start from the newest complete state that is not older than what its tables hold |
| not running, and Kafka has deleted events that it had yet to read | refused, until `make acknowledge-loss` |
| not running, no such state, tables empty | start from scratch |
| not running, no such state, tables not empty | refused: every row would be written again |

If a task before it fails (the registry is down, or the contract would break readers), a missing job still comes back as it last
ran. Nothing else is changed, and the run is red.

A job is upgraded only after the jobs that read its tables have left their old SQL, so that no row with a new field passes
through a job that does not know it. Changes of comments and layout are not upgrades.

**On demand**, with a form:

| param | means |
|---|---|
| `job` | which job the action is for |
| `action` | suspend (stop with a savepoint, until resume), restart, savepoint (the job continues) or start_after_last_row |
| `state_path` | the checkpoint or savepoint to restart from |

A suspended job fires no alert, however many rows wait for it. `restart` also retries what was rolled back. A savepoint is kept
for at least a week, then `iceberg_maintenance` removes it; copy it if you need it longer. `start_after_last_row` is for a job
that reads the topic and has lost its state: it continues exactly where its tables end.

**When it is red**: the failed task's log names the cause and the next step. A deployment that refuses to start a job protects the
tables from duplicates and from silent loss, and lists the options. A rolled back job stays red until the SQL is fixed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, TaskGroup, TriggerRule, task
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.assets import flink_job_gone
from lakehouse.airflow.dag_policy import Tag, dag_args, default_args
from lakehouse.airflow.operators.flink import (
    FlinkClusterSensor,
    FlinkJobOperator,
    FlinkJobStopOperator,
    FlinkTablesOperator,
)
from lakehouse.pipelines.load import declarations
from lakehouse.streaming.job import Action

DECLARED = declarations()
JOBS = [stage.job for pipeline in DECLARED.enabled for stage in pipeline.stages.values()]
#: The action of the form for the selected job; the other jobs are reconciled, as in a scheduled run.
ACTION = {
    "action": "{{ params.action if params.job in ('all', task.job) else 'reconcile' }}",
    "state_path": "{{ params.state_path or '' if params.job in ('all', task.job) else '' }}",
}

with DAG(
    "flink_jobs",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/5 * * * *", timezone="UTC"), assets=[flink_job_gone(JOBS)]
    ),
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    default_args=default_args(retries=1, retry_delay=timedelta(seconds=30), execution_timeout=timedelta(minutes=10)),
    params={
        "job": Param("all", enum=["all", *JOBS], description="Which job the action is for"),
        "action": Param(
            Action.RECONCILE.value,
            enum=[action.value for action in Action],
            description="What to do; see the DAG's documentation",
        ),
        "state_path": Param(None, type=["null", "string"], description="Checkpoint or savepoint to restart from"),
    },
    **dag_args(__doc__, Tag.STREAMING),
):
    wait_for_cluster = FlinkClusterSensor(task_id="wait_for_cluster", poke_interval=1, timeout=120)

    @task
    def create_topic(name: str) -> str:
        """Create the Kafka topic; one that is gone is not created again while tables have its rows."""
        from lakehouse.pipelines.load import get_pipeline
        from lakehouse.streaming.topic import ensure_topic

        return ensure_topic(get_pipeline(name))

    @task
    def register_contract(name: str) -> int:
        """Register the JSON Schema of an event under the topic's value subject; returns its id."""
        from lakehouse.airflow.hooks.registry import SchemaRegistryHook
        from lakehouse.pipelines.load import get_pipeline

        pipeline = get_pipeline(name)
        return SchemaRegistryHook().register(pipeline.topic.subject, pipeline.contract.text)

    @task
    def check_health(name: str) -> list[dict[str, Any]]:
        """Check state, checkpoints, lag and commits of the pipeline's jobs; fails with the reasons."""
        from lakehouse.pipelines.load import get_pipeline
        from lakehouse.streaming.flow import flows_of
        from lakehouse.streaming.health import health_of

        jobs = health_of(flows_of(get_pipeline(name)))
        for found in (found for job in jobs for found in job.unknown_writers):
            print(f"WARNING: {found}. Next: see unknown-writer in docs/runbook.md")
        if reasons := [reason for job in jobs for reason in job.reasons]:
            raise AirflowException("; ".join(reasons))
        return [job.as_dict() for job in jobs]

    for pipeline in DECLARED.pipelines.values():
        with TaskGroup(pipeline.name, tooltip=pipeline.title) as group:
            if pipeline.enabled:
                create_tables = FlinkTablesOperator(task_id="create_tables", pipeline=pipeline.name)
                checked = check_health(pipeline.name)
                topic_ready = [create_topic(pipeline.name), register_contract(pipeline.name)]
                [
                    create_tables,
                    *topic_ready,
                ] >> checked  # otherwise the run would be green although one of these failed
                for stage in pipeline.stages.values():
                    deploy = FlinkJobOperator(
                        task_id=f"deploy_{stage.name}", job=stage.job, trigger_rule=TriggerRule.ALL_DONE, **ACTION
                    )
                    create_tables >> deploy >> checked
                    if stage.reads_topic:
                        topic_ready >> deploy
            else:
                for stage in pipeline.stages.values():
                    FlinkJobStopOperator(task_id=f"stop_{stage.name}", job=stage.job)
        wait_for_cluster >> group
