"""Events whose rows a person had erased: Kafka may still hold them, the tables must not."""

from __future__ import annotations

from lakehouse.quality.audit.database import AuditDatabase
from lakehouse.quality.audit.layer import Layer
from lakehouse.reconciliation.positions import Positions


def leave_out_what_was_erased(database: AuditDatabase, layer: Layer, erased: Positions) -> None:
    """No row is wanted of these events, so that one that came back is a row too many."""
    if not erased:
        return
    database.connection.execute("CREATE OR REPLACE TABLE erased (partition INTEGER, first BIGINT, after BIGINT)")
    database.connection.executemany("INSERT INTO erased VALUES (?, ?, ?)", [list(span) for span in erased.spans()])
    removed = database.value(
        f"DELETE FROM {layer.wanted} USING erased"
        " WHERE kafka_partition = partition AND kafka_offset >= first AND kafka_offset < after"
    )
    layer.report.leave_out("erased by request (ops.erasures)", removed)
