"""
# Platform alerts

Every minute: is any rule of the platform broken, and for long enough? **One message when an alarm begins, one when it is
over**, none in between, through the connection `alerts`; each has a link to its section of `docs/runbook.md`.

| rule | rings when |
|---|---|
| `job-missing`, `job-not-running`, `restarts` | a streaming job is gone, is not RUNNING, or fails again and again |
| `checkpoint-late`, `checkpoint-slow`, `checkpoint-failing` | none for 60 s, the last one took 60 s, or several failed |
| `commits-stale` | rows that wait for more than 60 s have reached no table |
| `lag` | more than 10,000 rows wait for a job, for 5 minutes |
| `backpressure` | a part of a job waits for the next one for more than 10 % of its time, for 10 minutes |
| `data-files` | a table has more than 1,000 data files |
| `ledger` | the row ledger shows what no row in flight can explain |
| `unreachable` | Flink, Kafka or the catalog does not answer |
| `task-failed`, `dbt-failed`, `gold-held-back`, `maintenance-failed` | told at once by the task; over when it succeeds again |

`ring_alarms` returns the alarms that are on. The thresholds are in the variable `health_thresholds`; what lasts is kept in
variables `alarm.<rule>.<subject>`.

**When it is red**: nobody is told of the rest. The task's log says what could not be asked; the next run tries again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, get_current_context, task

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args

with DAG(
    "platform_alerts",
    schedule=timedelta(minutes=1),
    start_date=datetime(2024, 1, 1),
    default_args=default_args(
        retries=1, retry_delay=timedelta(seconds=10), execution_timeout=timedelta(minutes=5), priority_weight=100
    ),
    **dag_args(__doc__, Tag.OPERATIONS),
):

    @task
    def ring_alarms() -> list[str]:
        """Every rule against what is; tell what began and what is over."""
        from lakehouse.alerting.watch import watch

        return watch(get_current_context()["ti"].get_ti_count)

    ring_alarms()
