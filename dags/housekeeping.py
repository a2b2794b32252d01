"""
# Housekeeping

Deletes Airflow's own records and logs once they are older than the variable `retention` allows, daily at 03:30 UTC. What cleans
up the other stores: [docs/retention.md](docs/retention.md).

| task | does |
|---|---|
| `clean_metadata` | runs `airflow db clean`: runs, tasks and their records older than `metadata_days` |
| `delete_logs` | deletes log files of tasks and of the DAG processor older than `log_days`; returns how many |

| param | means |
|---|---|
| `dry_run` | only report what would be deleted |

`iceberg_maintenance` cleans up tables, checkpoints and savepoints. The newest scheduled run of each DAG stays, however old, so
that a paused DAG continues from there. If Airflow writes its logs to an object store, use a lifecycle rule of that store.

**When it is red**: nothing else depends on it, but Airflow's database and logs keep growing. The log says what failed: fix it,
then clear the task.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, Param, get_current_context, task

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args, upkeep_at

with DAG(
    "housekeeping",
    schedule=upkeep_at("30 3 * * *"),
    default_args=default_args(),
    params={"dry_run": Param(False, type="boolean", description="Only show what would be deleted")},
    **dag_args(__doc__, Tag.MAINTENANCE, Tag.OPERATIONS),
):

    @task
    def clean_metadata() -> None:
        """Delete old records of runs and tasks."""
        from lakehouse import housekeeping

        print(housekeeping.clean_metadata(get_current_context()["params"]["dry_run"]))

    @task
    def delete_logs() -> int:
        """Delete old log files; returns their number."""
        from airflow.configuration import conf

        from lakehouse import housekeeping

        dry_run, folder = get_current_context()["params"]["dry_run"], conf.get("logging", "base_log_folder")
        deleted = housekeeping.delete_logs(Path(folder), dry_run)
        print(f"{deleted.files:,} files, {deleted.bytes / 1e6:,.1f} MB {'would be deleted' if dry_run else 'deleted'}")
        return deleted.files

    clean_metadata()
    delete_logs()
