"""Runs one operation on one table: take the lease, observe, decide, execute, check and log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.airflow.hooks.flink import FlinkSqlError
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance import log
from lakehouse.maintenance.engines import ENGINES, OperationRequest, OperationResult
from lakehouse.maintenance.lease import lease
from lakehouse.maintenance.locations import roots
from lakehouse.maintenance.log import DONE, LogEntry
from lakehouse.maintenance.observe import TableSize, TableState, measure, observe
from lakehouse.maintenance.policy import Decision, decide
from lakehouse.maintenance.quarantine import Quarantine, QuarantineResult
from lakehouse.maintenance.rows import lost_rows
from lakehouse.maintenance.settings import Engine, Operation, Thresholds, thresholds
from lakehouse.pipelines.load import declarations
from lakehouse.tables import ops
from lakehouse.text_table import text_table

if TYPE_CHECKING:
    from pyiceberg.table import Table

logger = logging.getLogger(__name__)

QUARANTINE = "the quarantine"
REWRITES = (Operation.REWRITE_DATA_FILES, Operation.REWRITE_MANIFESTS)


@dataclass(frozen=True)
class Options:
    """Options of a run.

    :param requested_by: id of the DAG run, or the user
    :param force: do what can be done now, even if it is not due
    :param overrides: thresholds that replace those of the variable
    :param ignore_unknown_positions: expire snapshots even if the position of a reader, which may need them, is unknown
    """

    requested_by: str
    dry_run: bool = False
    force: bool = False
    overrides: Mapping[str, Any] | None = None
    ignore_unknown_positions: bool = False


def maintained_tables() -> list[str]:
    """The tables that maintenance is for, those that exist: of every declared pipeline, and the platform's own."""
    declared = (table for pipeline in declarations().pipelines.values() for table in pipeline.tables)
    return [table for table in (*declared, *ops.TABLES) if IcebergCatalogHook().exists(table)]


def decide_now(name: str, operation: Operation, options: Options) -> Decision:
    """The policy's decision about an operation on a table now. Nothing is changed."""
    [decision] = _decisions(IcebergCatalogHook().table(name), [operation], options, thresholds(options.overrides))
    return decision


def due(name: str, options: Options) -> list[Decision]:
    """The operations that a table needs now. Nothing is changed."""
    limits = thresholds(options.overrides)
    return [found for found in _decisions(IcebergCatalogHook().table(name), Operation, options, limits) if found.due]


def _decisions(table: Table, operations: Iterable[Operation], options: Options, limits: Thresholds) -> list[Decision]:
    state = observe(table, limits.small_file_bytes)
    return [_decide(state, operation, options, limits) for operation in operations]


def _decide(state: TableState, operation: Operation, options: Options, limits: Thresholds) -> Decision:
    return decide(
        operation,
        state,
        limits,
        now_ms=int(time.time() * 1000),
        last_done_ms=log.last_done_ms(state.name, operation),
        force=options.force,
        sort_order=_sort_order(state.name),
    )


def _sort_order(table: str) -> str | None:
    """The sort order that a declaration gives for the table."""
    orders = (pipeline.sort_orders.get(table) for pipeline in declarations().pipelines.values())
    return next(filter(None, orders), None)


def maintain(
    name: str, operation: Operation, options: Options, holder: str | None = None
) -> tuple[Decision, LogEntry | None]:
    """Run an operation on a table if it is due.

    :param holder: of the lease; the same holder gets it back
    :return: the decision, and the log entry if it was due
    :raises AirflowFailException: rows before and after a rewrite differ
    :raises AirflowException, FlinkError, TimeoutError: it was rejected or failed; the log has an entry about it
    """
    with lease(name, operation, holder) as held:
        table, limits = IcebergCatalogHook().table(name), thresholds(options.overrides)
        [decision] = _decisions(table, [operation], options, limits)
        logger.info("%s (score %.2f)", decision.reason, decision.score)
        if not decision.due:
            return decision, None
        engine, execute = ENGINES[operation]
        request = OperationRequest(
            table,
            held,
            decision.calls,
            limits,
            options.dry_run,
            options.ignore_unknown_positions,
        )
        started = LogEntry(
            table_name=name,
            operation=operation,
            engine=engine,
            dry_run=options.dry_run,
            run=options.requested_by,
            parameters={"calls": decision.calls, "overridden": options.overrides},
            reason=decision.reason,
            verdict="",
            seconds=0,
            before=measure(table),
        )
        since = table.metadata.current_snapshot_id

        def execute_and_check() -> OperationResult:
            failure: Exception | None = None
            try:
                result = execute(request)
            except (FlinkSqlError, TimeoutError) as error:
                failure = error  # it may have committed something before: check that too
            if operation in REWRITES and (problems := lost_rows(table.refresh().metadata, since)):
                raise AirflowFailException(
                    f"{operation} of {name} did not keep its rows: {'; '.join(problems)}. Next: do not let snapshots expire; "
                    "check the table with make audit, and roll back to the snapshot before the rewrite."
                ) from failure
            if failure:
                raise failure
            return result

        return decision, execute_and_log(started, execute_and_check, after=lambda: measure(table.refresh()))


def execute_and_log(
    started: LogEntry, execute: Callable[[], OperationResult], after: Callable[[], TableSize] = TableSize
) -> LogEntry:
    """Execute an operation and log it, whether it succeeds or fails; return the log entry.

    :param started: the entry without the result
    :param after: returns the table's figures after the operation
    :raises AirflowException: part of it could not be done, as the log says. Also whatever `execute` raises
    """
    began = time.monotonic()

    def write(verdict: str, result: OperationResult, size: TableSize) -> LogEntry:
        entry = replace(
            started,
            verdict=verdict,
            seconds=round(time.monotonic() - began, 3),
            after=size,
            protected=[asdict(found) for found in result.protected],
            result=result.result,
            deleted_files=result.deleted_files,
            deleted_bytes=result.deleted_bytes,
        )
        log.append(entry)
        return entry

    try:
        result = execute()
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "") or type(error).__name__
        try:
            write(first_line, OperationResult(None), TableSize())
        except Exception as log_error:
            error.add_note(f"In addition, it could not be logged in {log.TABLE}: {log_error}")
        raise
    entry = write(result.problem or DONE, result, after())
    if result.problem:
        raise AirflowException(result.problem)
    return entry


def purge(options: Options) -> LogEntry | None:
    """Delete what has been in quarantine for long enough; None if there is nothing.

    :raises AirflowException: a table needs some of the files after all; these are kept, the others were deleted
    """
    age = timedelta(seconds=thresholds(options.overrides).purge_age_s)
    before = datetime.now(UTC) - age
    if not any(kept.taken_at < before for kept in Quarantine().kept()):
        return None
    return _quarantine(
        "purge",
        options,
        {"taken_before": before},
        f"files have been in quarantine for {age} or longer",
        lambda quarantine: quarantine.purge(IcebergCatalogHook().lazy_tables(), before, options.dry_run),
    )


def restore(options: Options, table: str | None = None, batch: str | None = None) -> LogEntry:
    """Restore files from quarantine: those of a table, of a batch, or all.

    :raises AirflowException: a file exists at its original location; it stays in quarantine, the others were restored
    """
    below = roots(IcebergCatalogHook().table(table)) if table else None
    parameters = {"table": table, "batch": batch}
    return _quarantine("restore", options, parameters, "requested", lambda quarantine: quarantine.restore(below, batch))


def _quarantine(
    operation: str,
    options: Options,
    parameters: dict[str, Any],
    reason: str,
    execute: Callable[[Quarantine], QuarantineResult],
) -> LogEntry:
    """Run an operation on the quarantine under its lease, and log it."""

    def result() -> OperationResult:
        done = execute(Quarantine())
        left = f"{operation}: {done.files:,} files; {len(done.left):,} left in quarantine: {'; '.join(done.left[:5])}"
        return OperationResult(asdict(done), [], done.files, done.bytes, left if done.left else "")

    with lease(QUARANTINE, operation, clear=lambda *_: None):  # no Flink job works on it
        table = parameters.get("table")
        return execute_and_log(
            LogEntry(
                table, operation, Engine.PYICEBERG, options.dry_run, options.requested_by, parameters, reason, "", 0
            ),
            result,
        )


def overview(rows: list[dict[str, Any]]) -> str:
    """Rows of the log as a plain-text table."""
    return (
        text_table(
            {
                "table": row["table_name"] or "-",
                "operation": row["operation"],
                "files": f"{row['files_before'] or 0:,} > {row['files_after'] or 0:,}",
                "snapshots": f"{row['snapshots_before'] or 0:,} > {row['snapshots_after'] or 0:,}",
                "deleted": f"{row['deleted_files']:,}",
                "seconds": f"{row['seconds']:,.1f}",
                "verdict": f"{row['verdict']}{' (dry run)' if row['dry_run'] else ''}",
            }
            for row in rows
        )
        if rows
        else "Nothing was due."
    )
