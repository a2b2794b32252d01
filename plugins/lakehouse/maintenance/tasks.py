"""What the tasks of `iceberg_maintenance` do, with their run's form and their names."""

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
    """The tables that the form is for; without a form, those that need something now, with what they need in the log.

    :raises AirflowFailException: one of them is not there, or a threshold of the form cannot be used
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
    """Do one operation to one table; return why.

    :raises AirflowSkipException: the form asks for others, or the table does not need it
    """
    operations = context["params"]["operations"]
    if operations and operation.value not in operations:
        raise AirflowSkipException(f"{operation} was not asked for")
    outcome = maintain(table, operation, _options(context), _holder(context))
    if outcome.entry is None:
        raise AirflowSkipException(f"Nothing to do. {outcome.decision.reason}")
    return outcome.decision.reason


def remove_old_states(context: Context) -> int:
    """Remove what Flink keeps of runs long gone; return how many files."""
    entry = states.remove_old_states(_options(context))
    return entry.deleted_files if entry else 0


def purge_quarantine(context: Context) -> int:
    """Delete what has been in quarantine for long enough; return how many files."""
    entry = purge(_options(context))
    return entry.deleted_files if entry else 0


def report(context: Context) -> str:
    """What the run did, from the log."""
    return overview(log.of_run(context["run_id"]))


def _options(context: Context) -> Options:
    params = context["params"]
    return Options(
        by=context["run_id"],
        dry_run=params["dry_run"],
        at_once=bool(params["operations"]),
        overridden=params["thresholds"],
        ignore_unknown_positions=params["ignore_unknown_positions"],
    )


def _holder(context: Context) -> str:
    """The same for each try of a task, so that a retry has its lease at once."""
    task = context["ti"]
    return f"{task.dag_id}.{task.task_id}[{task.map_index}] of {task.run_id}"
