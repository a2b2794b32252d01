"""What a task of `iceberg_maintenance` passes on from its context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.maintenance.run import Asked

if TYPE_CHECKING:
    from airflow.sdk import Context


def asked(context: Context) -> Asked:
    """What the run's form asks for."""
    params = context["params"]
    return Asked(
        by=context["run_id"],
        dry_run=params["dry_run"],
        at_once=bool(params["operations"]),
        overruled=params["thresholds"],
        ignore_unknown_positions=params["ignore_unknown_positions"],
    )


def holder(context: Context) -> str:
    """The same for each try of a task, so that a retry has its lease at once."""
    task = context["ti"]
    return f"{task.dag_id}.{task.task_id}[{task.map_index}] of {task.run_id}"
