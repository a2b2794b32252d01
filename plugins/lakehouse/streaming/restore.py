"""Chooses the state that a job starts from: never one that would duplicate rows that its tables already contain."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.streaming.job import FlinkJob, JobState
from lakehouse.streaming.record import Commit, JobRecord
from lakehouse.streaming.state import last_commit, objection, read_state, saved_states

SHOWN = 5


def state_to_restore(job: JobState, record: JobRecord) -> str | None:
    """Path of the newest state that is consistent with the tables; None for a first start.

    After a rollback, that is the savepoint before the upgrade, as long as nothing was committed since.

    :raises AirflowException: there is no such state, but a table has rows
    """
    before_upgrade = record.rolled_back.savepoint if record.rolled_back else None
    states = sorted(saved_states(job), key=lambda state: state.path == before_upgrade, reverse=True)
    commits = last_commits(job)
    objections = [objection(state, commits, record.starts) for state in states]
    if None in objections:
        return states[objections.index(None)].path
    iceberg = IcebergCatalogHook()
    rows = sum(row_count(iceberg.table(name)) for name in job.tables if iceberg.exists(name))
    if not rows:
        return None
    why = objections[0] if objections else f"there is no checkpoint or savepoint under {job.state_dir}"
    raise AirflowException(
        f"Flink job {job.name} is not started: {', '.join(job.tables)} have {rows:,} rows, and {why}. "
        f"A start would duplicate rows. {_options(job)}"
    )


def checked(job: JobState, record: JobRecord, path: str) -> str:
    """Check that a job can start from a given path, and return it.

    :raises AirflowFailException: it is not a complete checkpoint or savepoint, or is older than the tables
    """
    state = read_state(path)
    if state is None:
        known = ", ".join(state.path for state in saved_states(job)[:SHOWN]) or "none"
        raise AirflowFailException(f"There is no complete checkpoint or savepoint at {path}. The newest are: {known}")
    if why := objection(state, last_commits(job), record.starts):
        raise AirflowFailException(
            f"Flink job {job.name} is not started from {path}: that would duplicate rows, because {why}. {_options(job)}"
        )
    return state.path


def last_commits(job: JobState) -> list[Commit]:
    """The latest commit of a Flink job to each table that has one."""
    iceberg = IcebergCatalogHook()
    tables = {name: iceberg.table(name) for name in job.tables if iceberg.exists(name)}
    return [commit for name, table in tables.items() if (commit := last_commit(name, table))]


def _options(job: JobState) -> str:
    after_last_row = (
        "trigger it with action start_after_last_row, which continues exactly where the tables end; "
        if isinstance(job, FlinkJob) and job.topic_tables
        else ""
    )
    return (
        "Options: restore the state; trigger flink_jobs with action restart and the path of another checkpoint or savepoint; "
        f"{after_last_row}or rebuild the tables with the DAG replay."
    )
