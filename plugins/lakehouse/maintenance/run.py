"""One operation on one table: leased, looked at, decided, done, checked and written down."""

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
from lakehouse.maintenance.engines import DO, EngineRequest, EngineResult
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
    """What a run is asked for.

    :param by: the run, or who
    :param at_once: do what can be done now, whatever the policy says of the time
    :param overridden: thresholds in place of those of the variable
    :param ignore_unknown_positions: expire though the position of a reader is unknown, which may then not find its place again
    """

    by: str
    dry_run: bool = False
    at_once: bool = False
    overridden: Mapping[str, Any] | None = None
    ignore_unknown_positions: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one operation; `entry` is the log's row, None when nothing was due."""

    decision: Decision
    entry: LogEntry | None


def maintained_tables() -> list[str]:
    """The tables that maintenance is for, those that exist: of every declared pipeline, and the platform's own."""
    declared = (table for pipeline in declarations().pipelines.values() for table in pipeline.tables)
    return [table for table in (*declared, *ops.TABLES) if IcebergCatalogHook().exists(table)]


def look(name: str, operation: Operation, options: Options) -> Decision:
    """What the policy says of an operation on a table now. Nothing is changed."""
    [decision] = _decisions(IcebergCatalogHook().table(name), [operation], options, thresholds(options.overridden))
    return decision


def due(name: str, options: Options) -> list[Decision]:
    """The operations that a table needs now. Nothing is changed."""
    limits = thresholds(options.overridden)
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
        at_once=options.at_once,
        sort_order=_sort_order(state.name),
    )


def _sort_order(table: str) -> str | None:
    """The columns that a declaration has the table sorted by."""
    orders = (pipeline.sort_orders.get(table) for pipeline in declarations().pipelines.values())
    return next(filter(None, orders), None)


def maintain(name: str, operation: Operation, options: Options, holder: str | None = None) -> Outcome:
    """Do an operation to a table, if it needs it.

    :param holder: of the lease; the same one gets it back
    :raises AirflowFailException: rows before and after a rewrite differ
    :raises AirflowException, FlinkError, TimeoutError: it was refused or failed; the log has a row that says so
    """
    with lease(name, operation, holder) as held:
        table, limits = IcebergCatalogHook().table(name), thresholds(options.overridden)
        [decision] = _decisions(table, [operation], options, limits)
        logger.info("%s (score %.2f)", decision.reason, decision.score)
        if not decision.due:
            return Outcome(decision, None)
        engine, do = DO[operation]
        request = EngineRequest(
            table,
            held,
            decision.calls,
            limits,
            options.dry_run,
            options.ignore_unknown_positions,
        )
        begun = LogEntry(
            table_name=name,
            operation=operation,
            engine=engine,
            dry_run=options.dry_run,
            run=options.by,
            parameters={"calls": decision.calls, "overridden": options.overridden},
            reason=decision.reason,
            verdict="",
            seconds=0,
            before=measure(table),
        )
        since = table.metadata.current_snapshot_id

        def act() -> EngineResult:
            failed: Exception | None = None
            try:
                done = do(request)
            except (FlinkSqlError, TimeoutError) as error:
                failed = error  # what it had committed until then counts all the same
            if operation in REWRITES and (wrong := lost_rows(table.refresh().metadata, since)):
                raise AirflowFailException(
                    f"{operation} of {name} did not keep its rows: {'; '.join(wrong)}. Next: do not let anything expire; look "
                    "with make audit, and go back with the snapshot before it."
                ) from failed
            if failed:
                raise failed
            return done

        return Outcome(decision, recorded(begun, act, after=lambda: measure(table.refresh())))


def recorded(begun: LogEntry, act: Callable[[], EngineResult], after: Callable[[], TableSize] = TableSize) -> LogEntry:
    """Do it, and write a row about it, whatever comes of it; return the row.

    :param after: the table's figures when it is over
    :raises AirflowException: a part of it could not be done; the row says so. Whatever `act` raises
    """
    began = time.monotonic()

    def write(verdict: str, done: EngineResult, size: TableSize) -> LogEntry:
        entry = replace(
            begun,
            verdict=verdict,
            seconds=round(time.monotonic() - began, 3),
            after=size,
            protected=[asdict(found) for found in done.protected],
            result=done.result,
            deleted_files=done.deleted_files,
            deleted_bytes=done.deleted_bytes,
        )
        log.append(entry)
        return entry

    try:
        done = act()
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "") or type(error).__name__
        try:
            write(first_line, EngineResult(None), TableSize())
        except Exception as unwritten:
            error.add_note(f"Nor could it be written to {log.TABLE}: {unwritten}")
        raise
    entry = write(done.problem or DONE, done, after())
    if done.problem:
        raise AirflowException(done.problem)
    return entry


def purge(options: Options) -> LogEntry | None:
    """Delete what has been in quarantine for long enough; None when there is nothing.

    :raises AirflowException: a table needs some of it after all; that is left, and the rest is gone
    """
    age = timedelta(seconds=thresholds(options.overridden).purge_age_s)
    before = datetime.now(UTC) - age
    if not any(kept.taken_at < before for kept in Quarantine().kept()):
        return None
    return _quarantine(
        "purge",
        options,
        {"taken_before": before},
        f"files have been in quarantine for {age} or longer",
        lambda quarantine: quarantine.purge(IcebergCatalogHook().every_glance(), before, options.dry_run),
    )


def restore(options: Options, table: str | None = None, batch: str | None = None) -> LogEntry:
    """Bring files back from quarantine: those of a table, of a batch, or all.

    :raises AirflowException: one is there again; that one was left in quarantine, and the others are back
    """
    below = roots(IcebergCatalogHook().table(table)) if table else None
    asked_for = {"table": table, "batch": batch}
    return _quarantine("restore", options, asked_for, "asked for", lambda quarantine: quarantine.restore(below, batch))


def _quarantine(
    operation: str,
    options: Options,
    parameters: dict[str, Any],
    reason: str,
    act: Callable[[Quarantine], QuarantineResult],
) -> LogEntry:
    """Do something to the quarantine, alone, and write it down."""

    def result() -> EngineResult:
        done = act(Quarantine())
        left = f"{operation}: {done.files:,} files; {len(done.left):,} were left: {'; '.join(done.left[:5])}"
        return EngineResult(asdict(done), [], done.files, done.bytes, left if done.left else "")

    with lease(QUARANTINE, operation, clear=lambda *_: None):  # no job works on it
        table = parameters.get("table")
        return recorded(
            LogEntry(table, operation, Engine.PYICEBERG, options.dry_run, options.by, parameters, reason, "", 0), result
        )


def overview(rows: list[dict[str, Any]]) -> str:
    """Rows of the log as a table of text."""
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
