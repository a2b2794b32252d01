"""
# Platform alerts

Checks every minute whether a rule of the platform has been broken for long enough. Sends **one message when an alert fires and
one when it resolves**, none in between, through the connection `alerts`. Each names the pipeline and links to its section of
`docs/runbook.md`.

| task | does |
|---|---|
| `evaluate` | evaluates all rules for one pipeline; one mapped task per pipeline, so that a failing one leaves the others green |
| `evaluate_airflow` | evaluates declarations, DAG files and runs; resolves alerts of tasks that succeeded or no longer exist |

| rule | fires when |
|---|---|
| `job-missing`, `job-not-running`, `restarts` | a streaming job does not exist, is not RUNNING, or keeps failing |
| `checkpoint-late`, `checkpoint-slow`, `checkpoint-failing` | none for 60 s, the last one took 60 s, or several failed |
| `commits-stale` | rows have waited for more than 60 s and reached no table |
| `rows-missing` | rows are in no table although later ones are, or Kafka deleted events before they were read |
| `lag` | more than 10,000 rows have waited for a job for 5 minutes |
| `backpressure` | an operator of a job has waited for the next one for more than 10 % of its time, for 10 minutes |
| `data-files` | a table has had 1,000 data files more than its rows would fill, for 2 hours: maintenance cannot keep up |
| `unknown-writer` | immediately: somebody else wrote to a pipeline's table, or rolled it back |
| `ledger` | a table of the pipeline holds rows that its source cannot explain |
| `gold-stale` | Gold lacks rows that its source has held for three times the pipeline's `every` (`gold_age_s`) |
| `unreachable` | Flink, Kafka, the catalog or the warehouse does not answer; alerts that need it stay as they are |
| `declaration-broken`, `dag-broken` | immediately: a declaration is invalid, or a DAG file cannot be imported |
| `run-without-tasks` | a run waits for tasks that Airflow no longer has a record of |
| `task-failed`, `dbt-failed`, `gold-held-back`, `maintenance-failed` | immediately, by the task; resolved when it succeeds |

Both tasks return the alerts that are firing. The limits are in the variable `health_thresholds`. What lasts is kept in
variables `alarm.<rule>.<subject>`, where the subject is a job (`<pipeline>.<stage>`), a pipeline or a task. A pipeline that
never received an event is not evaluated.

**When it is red**: nobody is notified about that pipeline's rules. A service that does not answer is `unreachable` and does not
make the task red: the log says what else failed, most likely a variable. The next run tries again.
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
        """Evaluate every rule for a pipeline; notify of alerts that fire or are resolved."""
        from lakehouse.alerting.evaluate import evaluate
        from lakehouse.pipelines.load import get_pipeline

        return evaluate(get_pipeline(name))

    @task
    def evaluate_airflow() -> list[str]:
        """Check declarations, DAG files and runs; resolve alerts of tasks that succeeded, and of what no longer exists."""
        from lakehouse.alerting.evaluate import evaluate_airflow

        return evaluate_airflow(Path(__file__).parent)

    evaluate.expand(name=[pipeline.name for pipeline in enabled_pipelines()])
    evaluate_airflow()
