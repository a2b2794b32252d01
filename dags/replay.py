"""
# Replay: rebuild the tables of a stage, and of all stages that read from it

Use it when rules have changed and old rows should be evaluated by them, when a field was added, or when a job's state is lost. It
runs on demand, for one pipeline at a time; tables and jobs of the others are not touched. The new tables are built **while the
jobs run**, with the same SQL. Readers see the old tables until all new ones replace them in one transaction.

| task | does |
|---|---|
| `plan` | checks the form and counts the rows; its return value says what would happen |
| `unless_dry_run` | ends the run here if only the plan was requested |
| `rebuild` | starts a Flink job for each stage: over Kafka, with earlier rows copied, or over a whole table |
| `catch_up` | waits until they have almost reached the live tables |
| `switch` | stops the live jobs with a savepoint, waits for the last rows, checks the ledger on the new tables, switches |
| `deploy` | starts the live jobs from the savepoints of the jobs that built the new tables |
| `build_gold` | triggers the pipeline's DAG, which rebuilds Gold from the new tables; skipped if there is no Gold |
| `clean_up` | removes what the rebuild left behind |
| `abandon` | if anything failed: removes what was built; the old tables stay live, and `flink_jobs` runs their jobs |

| param | means |
|---|---|
| `from_stage` | `<pipeline>.<stage>`: rebuild this stage and every stage that reads from it, directly or indirectly |
| `dry_run` | only report what would happen |
| `from_timestamp` | read Kafka from here on, ISO 8601; by default everything it holds. Earlier rows are kept |
| `from_offsets` | the same by offset of each partition: 0:100,1:250,2:0 |

`from_timestamp` and `from_offsets` apply to a stage that reads the topic. A replaced table stays as
`<namespace>_before_replay.<table>` until the next replay of that table. The catalog must be a database (JDBC).

**When it is red**: the failed task's log says why. Unless `switch` is green, nothing was switched: trigger the DAG again, and
it starts over. If `switch` is green, clear the tasks after it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, TriggerRule, get_current_context, task

from lakehouse.airflow.dag_policy import LONG_POOL, Tag, dag_args, default_args
from lakehouse.airflow.operators.flink import FlinkJobOperator
from lakehouse.airflow.operators.replay import FlinkReplayOperator, FlinkReplaySensor, GoldTriggerOperator
from lakehouse.pipelines.load import enabled_pipelines

if TYPE_CHECKING:
    from lakehouse.replay.switch import Switch

CATCH_UP_LIMIT_S = 24 * 3600
LIMIT = timedelta(hours=2)
PIPELINES = enabled_pipelines()
STAGES = [stage.job for pipeline in PIPELINES for stage in pipeline.stages.values()]

with DAG(
    "replay",
    schedule=None,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    default_args=default_args(retries=1, retry_delay=timedelta(seconds=30)),
    params={
        "from_stage": Param(
            [*PIPELINES[0].stages.values()][-1].job if PIPELINES else None,
            enum=STAGES,
            description="The first stage to rebuild",
        ),
        "dry_run": Param(True, type="boolean", description="Only show what would happen"),
        "from_timestamp": Param(None, type=["null", "string"], description="ISO 8601; read Kafka from here on"),
        "from_offsets": Param(
            None, type=["null", "string"], description="partition:offset,...; read Kafka from here on"
        ),
    },
    **dag_args(__doc__, Tag.STREAMING, Tag.REPAIR),
):

    @task
    def plan() -> dict[str, Any]:
        """Check the form and count rows; the returned plan directs the other tasks."""
        from lakehouse.replay.plan import make_plan

        context = get_current_context()
        return make_plan(context["run_id"], context["params"]).as_dict()

    @task.short_circuit
    def unless_dry_run() -> bool:
        """End the run here if only the plan was requested."""
        return not get_current_context()["params"]["dry_run"]

    @task(pool=LONG_POOL, execution_timeout=LIMIT)
    def switch(plan: dict[str, Any]) -> list[str]:
        """Put the new tables in place; returns the jobs to deploy."""
        for table, rows in _switch(plan).run().items():
            print(f"{table} now has {rows:,} rows")
        return plan["jobs"]

    @task
    def clean_up(plan: dict[str, Any]) -> None:
        """Remove the replay's namespaces and checkpoints."""
        _switch(plan).clean_up()

    @task(trigger_rule=TriggerRule.ONE_FAILED)
    def abandon(plan: dict[str, Any] | None) -> None:
        """Remove what was built, if anything; the old tables stay live."""
        if plan:
            _switch(plan).abandon()

    def _switch(plan: dict[str, Any]) -> Switch:
        from lakehouse.replay.plan import ReplayPlan
        from lakehouse.replay.switch import Switch

        return Switch(ReplayPlan(**plan))

    planned = plan()
    rebuild = FlinkReplayOperator(task_id="rebuild", plan=planned, pool=LONG_POOL, execution_timeout=LIMIT)
    catch_up = FlinkReplaySensor(
        task_id="catch_up", plan=planned, poke_interval=10, timeout=CATCH_UP_LIMIT_S, mode="reschedule"
    )
    switched = switch(planned)  # type: ignore[arg-type]
    deploy = FlinkJobOperator.partial(task_id="deploy", map_index_template="{{ task.job }}").expand(job=switched)

    planned >> unless_dry_run() >> rebuild >> catch_up >> switched
    [rebuild, catch_up, switched] >> abandon(planned)  # type: ignore[arg-type]
    build_gold = GoldTriggerOperator(task_id="build_gold", pipeline="{{ ti.xcom_pull('plan')['pipeline'] }}")
    deploy >> [build_gold, clean_up(planned)]  # type: ignore[arg-type]
