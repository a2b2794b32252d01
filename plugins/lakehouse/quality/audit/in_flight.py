"""Rows in flight: they are removed from the findings, and counted separately."""

from __future__ import annotations

from collections.abc import Callable

from lakehouse.pipelines.model import Pipeline
from lakehouse.quality.audit.database import LATER, PINNED, AuditDatabase
from lakehouse.quality.audit.layer import POSITION, Layer
from lakehouse.quality.audit.stage import later_arrivals
from lakehouse.waiting import wait_until


def leave_out_what_is_in_flight(
    database: AuditDatabase, pipeline: Pipeline, layers: list[Layer], settle_s: float, log: Callable[[str], None]
) -> None:
    """Remove findings about rows that have not arrived yet.

    Rows arrive in the order of their offsets. Those after the last one that arrived are in flight. Those that were overtaken may
    still arrive, because the tables of a stage are committed one after the other: they are awaited for some time.
    """
    for layer in layers:
        reached = f"SELECT max(kafka_offset) FROM ({layer.positions(PINNED)}) AS held"
        behind = f"kafka_offset > coalesce(({reached} WHERE held.kafka_partition = findings.kafka_partition), -1)"
        _leave_out(database, layer, behind, f"not yet in {layer.report.layer} when the audit began")

    seen: list[object] = []

    def all_arrived() -> bool:
        """Check again whenever there is a new snapshot."""
        missing = {row["layer"] for row in database.rows("SELECT DISTINCT layer FROM findings WHERE kind = 'missing'")}
        waiting = [layer for layer in layers if layer.schema in missing]
        if not waiting:
            return True
        tables = database.pin(LATER, reversed(pipeline.sinks))
        snapshots = [table.metadata.current_snapshot_id for table in tables.values()]
        if snapshots != seen:
            seen[:] = snapshots
            for layer in waiting:
                _leave_out(database, layer, _has_arrived(database, pipeline, layer), "arrived while the audit ran")
        return False

    log("Waiting for rows that have not arrived")
    try:
        wait_until(all_arrived, "overtaken rows to arrive", settle_s)
    except TimeoutError as error:
        log(str(error))


def _has_arrived(database: AuditDatabase, pipeline: Pipeline, layer: Layer) -> str:
    """SQL condition: whether a row that was in no table has arrived, or a key without an accepted row has one now."""
    in_a_table = f"held = 0 AND ({', '.join(POSITION)}) IN ({layer.positions(LATER)})"
    if not layer.arrivals_key:
        return in_a_table
    arrivals = later_arrivals(database, pipeline, layer)
    accepted = f"SELECT CAST({layer.arrivals_key} AS VARCHAR) FROM {arrivals} WHERE is_accepted"
    return f"({in_a_table}) OR coalesce(key IN ({accepted}), false)"


def _leave_out(database: AuditDatabase, layer: Layer, condition: str, reason: str) -> None:
    """Remove missing rows from the findings."""
    removed = database.value(
        f"DELETE FROM findings WHERE layer = '{layer.schema}' AND kind = 'missing' AND ({condition})"
    )
    layer.report.checked -= removed
    layer.report.leave_out(reason, removed)
