"""Rows that earlier rules evaluated differently from today's: not an error, but counted separately."""

from __future__ import annotations

from lakehouse.pipelines.model import Pipeline
from lakehouse.pipelines.script import rules_version
from lakehouse.quality.audit.database import PINNED, AuditDatabase, view_name
from lakehouse.quality.audit.layer import Layer

VERSION = "rules_version"


def leave_out_rows_of_earlier_rules(database: AuditDatabase, pipeline: Pipeline, layer: Layer) -> None:
    """Remove findings about rows that differ from today's rules, but were evaluated by another version of the rules.

    Only for stages whose tables record the version of the rules.
    """
    if (stage := layer.stage) is None or stage.reads_topic:
        return
    sinks = {role: view_name(PINNED, table) for role, table in stage.sinks.items()}
    with_version = [role for role, relation in sinks.items() if VERSION in database.columns(relation)]
    if not with_version or not database.value("SELECT count(*) FROM findings WHERE layer = ?", layer.schema):
        return
    database.run(
        "audit/earlier_rules.sql",
        here=layer.schema,
        sinks=sinks,
        with_version=with_version,
        version=rules_version(pipeline, stage),
    )
    for row in database.rows("SELECT kind, role, today, count(*) AS rows FROM judged_before GROUP BY ALL ORDER BY ALL"):
        reason = (
            f"evaluated by earlier rules; today's would {_today(layer, **row)}. Next: if that matters, trigger the DAG replay "
            f"with from_stage {stage.job}"
        )
        layer.report.checked -= row["rows"]
        layer.report.leave_out(reason, row["rows"])


def _today(layer: Layer, kind: str, role: str, today: list[str], rows: int) -> str:
    """What today's rules would do with rows of a role."""
    table = layer.sinks[role]
    if kind == "duplicated":
        return f"treat a row of {table} as a duplicate"
    if role in today:
        return f"give a row of {table} other values"
    return f"put a row of {table} into {' or '.join(layer.sinks[name] for name in today)}"
