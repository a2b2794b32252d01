"""
# Platform alerts

Every minute: is any rule of the platform broken, and for long enough? **One message when an alert fires, one when it is
resolved**, none in between, through the connection `alerts`; each names the pipeline and links to its section of
`docs/runbook.md`.

| task | does |
|---|---|
| `evaluate` | judges one pipeline by every rule; one mapped task a pipeline, so that one that fails leaves the others green |
| `evaluate_airflow` | judges declarations, DAG files and runs; resolves alerts of tasks that succeeded, and of what is gone |

| rule | fires when |
|---|---|
| `job-missing`, `job-not-running`, `restarts` | a streaming job is gone, is not RUNNING, or fails again and again |
| `checkpoint-late`, `checkpoint-slow`, `checkpoint-failing` | none for 60 s, the last one took 60 s, or several failed |
| `commits-stale` | rows that wait for more than 60 s have reached no table |
| `lag` | more than 10,000 rows wait for a job, for 5 minutes |
| `backpressure` | an operator of a job waits for the next one for more than 10 % of its time, for 10 minutes |
| `data-files` | a table has 1,000 data files more than its rows would fill, for 2 hours: maintenance does not keep up |
| `unknown-writer` | at once: somebody else wrote to a pipeline's table, or rolled it back |
| `ledger` | a pipeline's row ledger shows what no row in flight can explain |
| `gold-stale` | Gold lacks rows that its source has held for three times the pipeline's `every` (`gold_age_s`) |
| `unreachable` | Flink, Kafka, the catalog or the warehouse cannot be asked; what needs it stays as it was |
| `declaration-broken`, `dag-broken` | at once: a declaration cannot be used, or a DAG file cannot be imported |
| `run-without-tasks` | a run waits for tasks that Airflow has no record of any longer |
| `task-failed`, `dbt-failed`, `gold-held-back`, `maintenance-failed` | at once, by the task; resolved when it succeeds again |

Both tasks return the alerts that are firing. The thresholds are in the variable `health_thresholds`; what lasts is kept in
variables `alarm.<rule>.<subject>`, where the subject is a job (`<pipeline>.<stage>`), a pipeline or a task. A pipeline that was
never sent an event is not judged.

**When it is red**: nobody is notified of that pipeline's rules. A service that cannot be asked is `unreachable` and no red task:
the log says what else went wrong, most likely a variable. The next run tries again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, task

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args
from lakehouse.pipelines.load import enabled_pipelines

with DAG(
    "platform_alerts",
    schedule=timedelta(minutes=1),
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    default_args=default_args(
        retries=1, retry_delay=timedelta(seconds=10), execution_timeout=timedelta(minutes=5), priority_weight=100
    ),
    **dag_args(__doc__, Tag.OPERATIONS),
):

    @task(map_index_template="{{ task.op_kwargs['name'] }}")
    def evaluate(name: str) -> list[str]:
        """Every rule against what is seen of a pipeline; notify of what fires and what is resolved."""
        from lakehouse.alerting.evaluate import evaluate
        from lakehouse.pipelines.load import get_pipeline

        return evaluate(get_pipeline(name))

    @task
    def evaluate_airflow() -> list[str]:
        """Judge declarations, DAG files and runs; resolve alerts of tasks that succeeded again, and of what is gone."""
        from lakehouse.alerting.evaluate import evaluate_airflow

        return evaluate_airflow(Path(__file__).parent)

    evaluate.expand(name=[pipeline.name for pipeline in enabled_pipelines()])
    evaluate_airflow()
