"""Events whose rows were erased on request: Kafka may still have them, the tables must not."""

from __future__ import annotations

from lakehouse.quality.audit.database import AuditDatabase
from lakehouse.quality.audit.layer import Layer
from lakehouse.reconciliation.positions import Positions


def leave_out_what_was_erased(database: AuditDatabase, layer: Layer, erased: Positions) -> None:
    """Expect no rows of these events, so that a row that came back is a finding."""
    if not erased:
        return
    within = database.keep_spans("erased", erased.spans())
    removed = database.value(f"DELETE FROM {layer.wanted} USING erased WHERE {within}")
    layer.report.leave_out("erased on request (ops.erasures)", removed)
