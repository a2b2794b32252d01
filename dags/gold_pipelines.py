"""
# <title>: Gold

Builds what readers query. Every few minutes (`gold.every`): check that the streaming side is healthy, run **one `dbt build`**,
shown model by model, then **publish**.

| task | does |
|---|---|
| `check_flink_health` | picks the branch: are jobs RUNNING, checkpoints completing, restarts few, and rows arriving in time? |
| `alert_flink_down` | fails with the reasons; they are sent through the connection `alerts` once, until Gold is published |
| `prepare` | pins one version of the source, and gives this run the Gold file to build on |
| `gold.dbt_build` | runs the pipeline's seeds, models and tests in one dbt process (DuckDB has a single writer) |
| `gold.<model>` | the model and its tests: green or red as dbt reported |
| `publish` | checks the ledger, then swaps the Gold file in atomically; never after a failed test |

Two files alternate: readers have one, and the next run builds on the other. A run costs as much as the new rows, however large
Gold is. It builds **all of Gold from scratch** if the models have changed, or if the source did anything but grow (a replay, a
rollback, deleted rows).

**Declared** in `include/pipelines/<name>.yaml` (`gold`); the models are in `include/dbt/models/<name>/`.

**On demand**: trigger it in the UI, or run `airflow dags test <name>_pipeline`.

| param | means |
|---|---|
| `full_refresh` | build all of Gold from scratch even without such a reason |

**When `alert_flink_down` is red**: Gold was held back, and readers keep the last good file. Its log has the reasons, and the
[runbook](docs/runbook.md#gold-held-back) says what to do. The next run checks again.

**When a model is red**: its log has dbt's message. Fix the model or the data, then clear **`prepare` with its downstream
tasks**: the run starts over from a copy of the published file, with one dbt process.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args, every, page
from lakehouse.alerting.notifier import AlertNotifier
from lakehouse.gold.manifest import buildable
from lakehouse.gold.tasks import gold_task_group
from lakehouse.pipelines.load import declarations, get_pipeline, gold_of

ENV = {
    "LAKEHOUSE_GOLD_PATH": "{{ ti.xcom_pull('prepare')['LAKEHOUSE_GOLD_PATH'] }}",
    "LAKEHOUSE_SOURCE_METADATA": "{{ ti.xcom_pull('prepare')['LAKEHOUSE_SOURCE_METADATA'] }}",
}


@task.branch
def check_flink_health(name: str) -> str:
    """Check the pipeline's jobs, after any running deployment; the reasons are logged and passed to the alert."""
    from lakehouse.streaming.health import is_unused, reasons_when_deployed

    pipeline = get_pipeline(name)
    if is_unused(pipeline):
        raise AirflowSkipException(
            f"No event was ever sent to {pipeline.topic.name}, so there is nothing to build. Next: send events to it"
        )
    reasons = reasons_when_deployed(pipeline)
    get_current_context()["ti"].xcom_push(key="reasons", value=reasons)
    return "alert_flink_down" if reasons else "prepare"


@task(on_failure_callback=AlertNotifier("failure", rule="gold-held-back", until="publish"))
def alert_flink_down() -> None:
    """Fail with the reasons why the streaming jobs are unhealthy, which fires the alert."""
    reasons = get_current_context()["ti"].xcom_pull("check_flink_health", key="reasons")
    raise AirflowFailException(f"Gold is held back: {'; '.join(reasons)}")


@task
def prepare(name: str, run_id: str, params: dict[str, Any]) -> dict[str, str]:
    """Pin the source's version, and provide the Gold file to build on, if there is one."""
    from lakehouse.gold import file as gold_file

    return gold_file.prepare(get_pipeline(name), run_id, params["full_refresh"])


@task(priority_weight=100)  # before the models' tasks, which only show results
def publish(name: str, env: dict[str, str]) -> dict[str, Any]:
    """Check the ledger, then publish the file."""
    from lakehouse.gold import file as gold_file

    ledger = gold_file.publish(get_pipeline(name), env)
    print(ledger)
    return ledger.as_dict()


for pipeline in buildable(declarations()):
    with DAG(
        pipeline.dag_id,
        schedule=every(gold_of(pipeline).every),
        start_date=datetime(2024, 1, 1, tzinfo=UTC),
        default_args=default_args(),
        params={
            "full_refresh": Param(
                False, type="boolean", description="Build all of Gold from scratch instead of what arrived"
            )
        },
        **dag_args(page(__doc__, pipeline), Tag.PIPELINE, Tag.GOLD),
    ):
        prepared = prepare(pipeline.name)  # type: ignore[call-arg, misc]  # Airflow fills in the rest
        gold = gold_task_group("gold", pipeline, ENV)
        check_flink_health(pipeline.name) >> [alert_flink_down(), prepared]
        prepared >> gold
        gold.children["gold.dbt_build"] >> publish(pipeline.name, prepared)  # type: ignore[arg-type]
