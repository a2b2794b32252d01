"""
# Taxi replay: build Silver, or Bronze and Silver, anew

For when rules changed and old trips are to be judged by them, when a field was added, or when a job's state is lost. By hand
only. The new tables are built **beside** the live ones, by the same SQL; readers see the old ones until all new ones take
their place in one transaction.

| task | does |
|---|---|
| `plan` | checks the form, counts the rows; its return value says what would happen |
| `unless_dry_run` | ends the run here when only the plan was asked for |
| `rebuild_bronze` | a Flink job that reads Kafka again, after the rows before that point were copied |
| `rebuild_silver` | a Flink job that reads Bronze (the new one, where there is one) from its first row |
| `catch_up` | waits until both have almost reached the live tables |
| `switch` | stops the live jobs with a savepoint, waits for the last rows, checks the ledger on the new tables, switches |
| `deploy_bronze`, `deploy_silver` | start the live jobs from the savepoints of the jobs that built the new tables |
| `clean_up` | removes what the building left; its end starts `nyc_taxi_pipeline`, which sees a new table and builds Gold anew |
| `abandon` | when anything failed: removes what was built; the old tables stay live, and `flink_jobs` runs their jobs |

| param | says |
|---|---|
| `dry_run` | only say what would happen |
| `target` | silver: from Bronze; bronze_and_silver: from Kafka |
| `from_timestamp` | from when on Kafka is read again, ISO 8601; else all that it holds. Rows before it are kept |
| `from_offsets` | the same by offset of each partition: 0:100,1:250,2:0 |

The replaced tables stay in the namespaces `bronze_before_replay` and `silver_before_replay` until the next replay.

**When it is red**: the failed task's log says what was found. Nothing was switched unless `switch` is green; trigger it again, it
begins anew. When `switch` is green, clear what comes after it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Param, TriggerRule, Variable, get_current_context, task

from lakehouse.airflow.assets import SILVER_REPLACED
from lakehouse.airflow.dag_policy import Tag, dag_args, default_args
from lakehouse.airflow.operators.flink import FlinkJobOperator, FlinkReplayOperator, FlinkReplaySensor

CATCH_UP_LIMIT_S = 24 * 3600

with DAG(
    "taxi_replay",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    template_searchpath=str(Path(__file__).parents[1] / "include" / "sql"),
    default_args=default_args(retries=1, retry_delay=timedelta(seconds=30), execution_timeout=timedelta(hours=2)),
    params={
        "dry_run": Param(True, type="boolean", description="Only say what would happen"),
        "target": Param("silver", enum=["silver", "bronze_and_silver"], description="What is built anew"),
        "from_timestamp": Param(None, type=["null", "string"], description="ISO 8601; read Kafka from here on"),
        "from_offsets": Param(
            None, type=["null", "string"], description="partition:offset,...; read Kafka from here on"
        ),
    },
    **dag_args(__doc__, Tag.STREAMING, Tag.REPAIR),
):

    @task
    def plan() -> dict:
        """Check the form and count; the value that it returns is what the other tasks go by."""
        from lakehouse.airflow.hooks.kafka import TopicHook
        from lakehouse.replay.plan import make_plan

        context = get_current_context()
        return make_plan(TopicHook(Variable.get("taxi_topic")), context["run_id"], context["params"]).as_dict()

    @task.short_circuit
    def unless_dry_run() -> bool:
        """End here when only the plan was asked for."""
        return not get_current_context()["params"]["dry_run"]

    @task
    def switch(plan: dict) -> dict[str, int]:
        """Put the new tables in place; returns their rows."""
        return _switch(plan).run()

    @task(outlets=[SILVER_REPLACED])
    def clean_up(plan: dict) -> None:
        """Remove what the building left."""
        _switch(plan).clean_up()

    @task(trigger_rule=TriggerRule.ONE_FAILED)
    def abandon(plan: dict | None) -> None:
        """Remove what was built, if it came to that; the old tables are live."""
        if plan:
            _switch(plan).abandon()

    def _switch(plan: dict):
        from lakehouse.airflow.hooks.kafka import TopicHook
        from lakehouse.replay.plan import ReplayPlan
        from lakehouse.replay.switch import Switch

        return Switch(ReplayPlan(**plan), TopicHook(Variable.get("taxi_topic")), Variable.get("flink_state_dir"))

    planned = plan()
    rebuild_bronze = FlinkReplayOperator(task_id="rebuild_bronze", job="bronze", keep="replay/keep-rows.sql")
    rebuild_silver = FlinkReplayOperator(task_id="rebuild_silver", job="silver", trigger_rule=TriggerRule.NONE_FAILED)
    catch_up = FlinkReplaySensor(task_id="catch_up", poke_interval=10, timeout=CATCH_UP_LIMIT_S, mode="reschedule")
    switched = switch(planned)
    deployed = [FlinkJobOperator(task_id=f"deploy_{job}", job=job) for job in ("bronze", "silver")]

    planned >> unless_dry_run() >> rebuild_bronze >> rebuild_silver >> catch_up >> switched
    [rebuild_bronze, rebuild_silver, catch_up, switched] >> abandon(planned)
    switched >> deployed >> clean_up(planned)
