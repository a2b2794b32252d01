"""What a running task can find out from Airflow: successes of tasks, DAG runs, and the DAG files as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse.alerting.alerts import FailedTask

#: Added to a run's logical date, because Airflow searches for runs *before* a date.
JUST_AFTER = timedelta(microseconds=1)


@dataclass(frozen=True)
class DagFiles:
    """The DAG files, imported.

    :param tasks: DAG id -> ids of its tasks
    :param errors: file name without suffix -> why it cannot be imported
    """

    tasks: dict[str, set[str]]
    errors: dict[str, str]


def dag_files(dags: Path) -> DagFiles:
    """Import every DAG file of a folder."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dags)
    return DagFiles(
        {dag_id: set(dag.task_ids) for dag_id, dag in bag.dags.items()},
        {Path(file).stem: error.strip().splitlines()[-1] for file, error in bag.import_errors.items()},
    )


def succeeded_since(task: FailedTask, since: float) -> bool:
    """Whether the task has succeeded since then, in the latest run in which it succeeded, or in the run that failed.

    :param since: epoch seconds
    """
    newest = datetime.now(UTC) + timedelta(days=1)
    runs = [newest] if task.logical_date is None else [newest, task.logical_date + JUST_AFTER]
    ends = [_last_success(task, before) for before in runs]
    return any(end.timestamp() > since for end in ends if end)


def _last_success(task: FailedTask, before: datetime) -> datetime | None:
    from airflow.sdk.execution_time.comms import GetPreviousTI

    index = -1 if task.map_index is None else task.map_index
    found = _ask(
        GetPreviousTI(dag_id=task.dag_id, task_id=task.task_id, map_index=index, logical_date=before, state="success")
    ).task_instance
    return found and found.end_date


def is_settled(dag_id: str, run_id: str) -> bool:
    """Whether a failed run has been dealt with: it succeeded after it was cleared, was marked as success, or was deleted."""
    from airflow.sdk.execution_time.comms import GetDRCount

    return _ask(GetDRCount(dag_id=dag_id, run_ids=[run_id], states=["queued", "running", "failed"])).count == 0


def missing_tasks(dag_id: str, tasks: set[str]) -> str | None:
    """Why the DAG's latest running run can never finish: Airflow has lost the records of some of its tasks."""
    from airflow.sdk.execution_time.comms import GetPreviousDagRun, GetTaskStates

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    run = _ask(GetPreviousDagRun(dag_id=dag_id, logical_date=tomorrow, state="running")).dag_run
    if run is None:
        return None
    known = _ask(GetTaskStates(dag_id=dag_id, run_ids=[run.run_id])).task_states.get(run.run_id, {})
    # An instance of a mapped task is called `<task>_<index>`.
    lost = sorted(task for task in tasks if not any(name == task or name.startswith(f"{task}_") for name in known))
    if not lost:
        return None
    return f"run {run.run_id} of {dag_id} cannot finish: it has no records of {', '.join(lost)}, as after `airflow db clean`"


def _ask(message: Any) -> Any:
    """Ask Airflow through the task's supervisor, as the methods of a task instance do for their own task."""
    from airflow.sdk.execution_time import task_runner

    return task_runner.SUPERVISOR_COMMS.send(message)
