"""The CALL procedures of our Flink catalog: rendered from `include/sql/maintenance/`, run in a session of the SQL Gateway.

Only this module knows the columns of their results.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lakehouse.airflow.hooks.flink import FlinkError, FlinkRestHook, FlinkSqlError, FlinkUnavailable, SqlGatewayHook
from lakehouse.pipelines.script import BATCH, catalog_statement, render
from lakehouse.waiting import wait_until

log = logging.getLogger(__name__)

CALL_LIMIT_S = 3 * 3600
END_LIMIT_S = 300


@dataclass(frozen=True)
class Protected:
    """A snapshot that must not expire.

    :param by: what protects it
    """

    snapshot_id: int
    by: str


def call(name: str, on_session: Callable[[str], None] = lambda handle: None, **arguments: Any) -> list[dict[str, Any]]:
    """Call a procedure and return its rows as column -> value.

    :param on_session: called with the handle of the gateway session before the procedure starts, and with "" after it ended
    :param arguments: arguments of the SQL template; times in epoch milliseconds
    :raises FlinkSqlError: the procedure failed; the message has the reason
    :raises FlinkError, TimeoutError: Flink does not answer, or not in time
    """
    statement = render(f"maintenance/{name}.sql", **arguments)
    try:
        with SqlGatewayHook().session(BATCH) as session:
            on_session(session.handle)
            session.execute(catalog_statement())
            rows = session.query(statement, CALL_LIMIT_S)
    except FlinkSqlError:
        on_session("")  # the procedure has ended; after any other error it may still be running
        raise
    on_session("")
    return rows


def protected_snapshots(
    table: str, on_session: Callable[[str], None] = lambda handle: None, ignore_unknown_positions: bool = False
) -> list[Protected]:
    """The snapshots of a table that must not expire, found in the table and in the jobs' checkpoints.

    :raises FlinkSqlError: the position of a reader is unknown, so no snapshot may expire
    """
    rows = call("protected_snapshots", on_session, table=table, ignore_unknown_positions=ignore_unknown_positions)
    return [Protected(int(row["snapshot_id"]), row["protected_by"]) for row in rows]


def rewrite_job(table: str) -> str:
    """Name of the bounded Flink job that rewrites a table's files."""
    return f"rewrite_data_files {table}"


def end_rewrite(table: str, session: str | None) -> None:
    """Make sure that no rewrite of this table is running.

    The gateway continues the call of a killed worker: its session is closed, which ends the call, and its job is cancelled;
    groups that were already committed stay. Other rewrites are awaited.

    :param session: handle of the gateway session that a killed worker left behind, if any
    :raises FlinkError: Flink is unavailable, although a call was left behind
    :raises TimeoutError: a rewrite does not end in time
    """
    flink = FlinkRestHook()
    if session:
        log.warning("A previous run left a call on %s in gateway session %s: ending it", table, session)
        try:
            SqlGatewayHook().call("DELETE", f"v1/sessions/{session}")
        except FlinkUnavailable:
            raise
        except FlinkError as error:
            log.info("The session is already gone: %s", error)
    try:
        for run in flink.runs(rewrite_job(table)) if session else []:
            if run.live:
                flink.cancel(run.job_id)
        wait_until(
            lambda: flink.live_run(rewrite_job(table)) is None, f"end of Flink job {rewrite_job(table)}", END_LIMIT_S
        )
    except FlinkUnavailable as error:
        if session:
            raise
        log.warning("There is no JobManager, so nothing can be rewriting %s: %s", table, error)


def deleted_files(rows: list[dict[str, Any]]) -> int:
    """Number of files of all kinds that `expire_snapshots` deleted."""
    kinds = ("data_files", "manifest_files", "manifest_lists", "statistics_files")
    return sum(int(row[f"deleted_{kind}_count"]) for row in rows for kind in kinds)


def undeleted_files(rows: list[dict[str, Any]]) -> str:
    """What `expire_snapshots` could not delete."""
    failed = sum(int(row.get("failed_deletes_count", 0)) for row in rows)
    return f"{failed:,} files could not be deleted: orphan removal will delete them" if failed else ""


def failed_groups(rows: list[dict[str, Any]]) -> str:
    """What `rewrite_data_files` could not do; a group with a commit conflict is not a failure: the next run rewrites it."""
    failed = sum(int(row["failed_groups"]) - int(row["conflicts"]) for row in rows)
    reasons = "; ".join(row["reasons"] for row in rows if row["reasons"])
    return f"{failed} file groups could not be rewritten (the others were): {reasons}" if failed > 0 else ""
