"""The tasks of `iceberg_maintenance`, which translate the form of their run into options."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from lakehouse.maintenance import log, states
from lakehouse.maintenance.run import Options, due, maintain, maintained_tables, overview, purge
from lakehouse.maintenance.settings import Operation, thresholds
from lakehouse.tables.known import require_tables

if TYPE_CHECKING:
    from airflow.sdk import Context

logger = logging.getLogger(__name__)


def tables(context: Context) -> list[str]:
    """The tables that the form selects; without a selection, those for which an operation is due, which is logged.

    :raises AirflowFailException: a table does not exist, or a threshold is invalid
    """
    params = context["params"]
    thresholds(params["thresholds"])
    named = list(dict.fromkeys(params["tables"] or ()))
    require_tables(*named)
    if named or params["operations"]:
        return named or maintained_tables()
    options = _options(context)
    needs = {table: due(table, options) for table in maintained_tables()}
    for table, decisions in needs.items():
        for decision in decisions:
            logger.info("%s: %s", decision.operation, decision.reason)
        if not decisions:
            logger.info("%s needs nothing", table)
    return [table for table, decisions in needs.items() if decisions]


def operate(context: Context, table: str, operation: Operation) -> str:
    """Run one operation on one table; return the reason.

    :raises AirflowSkipException: the form selects other operations, or it is not due
    """
    operations = context["params"]["operations"]
    if operations and operation.value not in operations:
        raise AirflowSkipException(f"{operation} was not requested")
    decision, entry = maintain(table, operation, _options(context), _holder(context))
    if entry is None:
        raise AirflowSkipException(f"Nothing to do. {decision.reason}")
    return decision.reason


def remove_old_states(context: Context) -> int:
    """Remove old checkpoints and savepoints; return the number of files."""
    entry = states.remove_old_states(_options(context))
    return entry.deleted_files if entry else 0


def purge_quarantine(context: Context) -> int:
    """Delete what has been in quarantine for long enough; return the number of files."""
    entry = purge(_options(context))
    return entry.deleted_files if entry else 0


def report(context: Context) -> str:
    """A summary of the run, from the log."""
    return overview(log.of_run(context["run_id"]))


def _options(context: Context) -> Options:
    params = context["params"]
    return Options(
        requested_by=context["run_id"],
        dry_run=params["dry_run"],
        force=bool(params["operations"]),
        overrides=params["thresholds"],
        ignore_unknown_positions=params["ignore_unknown_positions"],
    )


def _holder(context: Context) -> str:
    """The same for each try of a task, so that a retry gets its lease back at once."""
    task = context["ti"]
    return f"{task.dag_id}.{task.task_id}[{task.map_index}] of {task.run_id}"
