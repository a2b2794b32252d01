"""The CALL procedures of our Flink catalog: rendered from `include/sql/maintenance/`, run in a session of the SQL Gateway.

The only place that knows their arguments and the columns of their results.
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
    """A snapshot that must stay.

    :param by: who protects it
    """

    snapshot_id: int
    by: str


def call(name: str, on_session: Callable[[str], None] = lambda handle: None, **arguments: Any) -> list[dict[str, Any]]:
    """Run the procedure of that name and return its rows by column.

    :param on_session: gets the handle of the gateway's session before the procedure begins, and an empty text when it ended
    :param arguments: as its template takes them; times in epoch milliseconds
    :raises FlinkSqlError: the procedure refused or failed; the message has its text
    :raises FlinkError, TimeoutError: Flink does not answer, or not in time
    """
    statement = render(f"maintenance/{name}.sql", **arguments)
    try:
        with SqlGatewayHook().session(BATCH) as session:
            on_session(session.handle)
            session.execute(catalog_statement())
            rows = session.query(statement, CALL_LIMIT_S)
    except FlinkSqlError:
        on_session("")  # it ended by itself; after any other error it may go on
        raise
    on_session("")
    return rows


def protected_snapshots(
    table: str, on_session: Callable[[str], None] = lambda handle: None, ignore_unknown_positions: bool = False
) -> list[Protected]:
    """Every snapshot of a table that must stay, as Flink finds them in the table and in the jobs' checkpoints.

    :raises FlinkSqlError: the position of a reader is unknown, so that nothing may expire
    """
    rows = call("protected_snapshots", on_session, table=table, ignore_unknown_positions=ignore_unknown_positions)
    return [Protected(int(row["snapshot_id"]), row["protected_by"]) for row in rows]


def rewrite_job(table: str) -> str:
    """Name of the bounded Flink job that rewrites files of a table."""
    return f"rewrite_data_files {table}"


def end_rewrite(table: str, session: str | None) -> None:
    """See to it that no rewrite of this table runs any more.

    What a killed worker left, the gateway goes on with: its session is closed, which ends the call, and its job is cancelled;
    groups that it had committed stay. A rewrite of somebody else is awaited.

    :param session: handle of the gateway's session that was left, if any
    :raises FlinkError: Flink cannot be asked, though a call was left there
    :raises TimeoutError: it does not end in time
    """
    flink = FlinkRestHook()
    if session:
        log.warning("A run before this one left a call on %s in session %s: ending it", table, session)
        try:
            SqlGatewayHook().call("DELETE", f"v1/sessions/{session}")
        except FlinkUnavailable:
            raise
        except FlinkError as error:
            log.info("The session is gone already: %s", error)
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
        log.warning("Where there is no JobManager, nothing rewrites %s: %s", table, error)


def deleted_files(rows: list[dict[str, Any]]) -> int:
    """Files that `expire_snapshots` deleted, of every kind."""
    kinds = ("data_files", "manifest_files", "manifest_lists", "statistics_files")
    return sum(int(row[f"deleted_{kind}_count"]) for row in rows for kind in kinds)


def undeleted_files(rows: list[dict[str, Any]]) -> str:
    """What `expire_snapshots` could not delete."""
    failed = sum(int(row.get("failed_deletes_count", 0)) for row in rows)
    return f"{failed:,} files could not be deleted: they are left for orphan removal" if failed else ""


def failed_groups(rows: list[dict[str, Any]]) -> str:
    """What `rewrite_data_files` could not do; a group that met another commit is no failure, the next run has it."""
    failed = sum(int(row["failed_groups"]) - int(row["conflicts"]) for row in rows)
    reasons = "; ".join(row["reasons"] for row in rows if row["reasons"])
    return f"{failed} groups of files could not be rewritten, the others were: {reasons}" if failed > 0 else ""
