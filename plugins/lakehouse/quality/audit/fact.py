"""Gold as a layer of the audit: the fact contains each row of the version that it was built from once, with equal values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.iceberg import row_count
from lakehouse.gold.file import LATE_DUPLICATES, published_file
from lakehouse.pipelines.load import gold_of
from lakehouse.pipelines.model import Pipeline
from lakehouse.pipelines.params import parameters
from lakehouse.quality.audit.database import PINNED, SCOPED, AuditDatabase, view_name
from lakehouse.quality.audit.layer import POSITION, Layer, set_sides
from lakehouse.quality.audit.report import LayerReport
from lakehouse.quality.audit.scope import Scope
from lakehouse.texts import sql_literal

if TYPE_CHECKING:
    from pyiceberg.table import Table

#: Name of the layer, and of the published file's database in SQL.
GOLD = "gold"
#: Schema of its views, and the only role of its rows.
FACT = "fact"
GENERIC = "audit/gold.sql"
BUILT_FROM = "built_from"


def open_gold(database: AuditDatabase, pipeline: Pipeline) -> int | None:
    """Attach the published file, which stays unchanged when another is published; return the snapshot id of its source."""
    file = published_file(pipeline)
    if not file.exists():
        return None
    database.connection.execute(f"ATTACH {sql_literal(str(file))} AS {GOLD} (READ_ONLY)")
    names = {
        row["name"]
        for row in database.rows(
            "SELECT table_name AS name FROM information_schema.tables WHERE table_catalog = ? AND table_schema = 'main'",
            GOLD,
        )
    }
    if not {BUILT_FROM, gold_of(pipeline).fact} <= names:
        return None
    return database.value(
        f"SELECT COLUMNS('_snapshot_id$') FROM {GOLD}.{BUILT_FROM}"
    )  # formerly silver_..., now source_...


def fact_layer(
    database: AuditDatabase, pipeline: Pipeline, scope: Scope, snapshot_id: int | None, source: Table
) -> Layer:
    """Set up the expected rows of the fact, from the snapshot that it was built from.

    :raises AirflowException: its rules cannot be run, or expect a column that the fact does not have
    """
    gold, report = gold_of(pipeline), LayerReport(GOLD)
    layer = Layer(report, FACT, {FACT: gold.fact}, {FACT: f"{FACT}.fact"}, f"{FACT}.wanted")
    if snapshot_id is None or source.snapshot_by_id(snapshot_id) is None:
        reason = (
            "it is not published, or does not record its version of"
            if snapshot_id is None
            else "Iceberg has expired its version of"
        )
        report.leave_out(f"{reason} {gold.source}: run {pipeline.dag_id}", row_count(source))
        return layer
    pinned, fact = view_name(PINNED, f"{gold.source} of {GOLD}"), f'{GOLD}."{gold.fact}"'
    database.view(pinned, source, snapshot_id)
    in_source, in_fact = database.columns(pinned), database.columns(fact)
    shared = {column: in_fact[column] for column in in_source if column in in_fact}
    database.connection.execute(f"CREATE SCHEMA {FACT}")
    late = f"{GOLD}.{LATE_DUPLICATES}" if _has_late_duplicates(database) else ""
    database.run(
        "audit/fact.sql",
        here=FACT,
        pinned=pinned,
        fact=fact,
        shared=shared,
        in_scope=scope.predicate,
        late_duplicates=late,
    )
    report.checked = database.value(f"SELECT count(*) FROM {FACT}.source")
    built = database.value(f"SELECT count(*) FROM {pinned} WHERE {scope.predicate}")
    arrived = database.value(f"SELECT count(*) FROM {view_name(SCOPED, gold.source)}")
    report.leave_out(f"late duplicates, which {gold.fact} leaves out", built - report.checked)
    report.leave_out(f"in {gold.source} since Gold was built", arrived - built)
    for column in map(str.lower, pipeline.contract.columns):
        if column in in_source.keys() - in_fact.keys():
            report.leave_out(f"{gold.fact} has no column {column}", report.checked)
    if not shared and not gold.audit:
        _count(database, layer, scope)
        return layer
    rules = gold.audit or GENERIC
    database.run(
        rules,
        pipeline=pipeline,
        contract=pipeline.contract,
        params=parameters(pipeline),
        here=FACT,
        source=f"{FACT}.source",
        shared=list(shared),
        keeps_position=set(POSITION) <= shared.keys(),
    )
    layer.key = tuple(column for column in database.columns(f"{FACT}.expected") if column != FACT)
    if layer.key == POSITION:
        layer.held = {FACT: f"(FROM {FACT}.fact WHERE {scope.predicate})"}
    elif not scope.whole:
        layer.held = {FACT: f"(FROM {FACT}.fact SEMI JOIN {FACT}.expected USING ({layer.keys}))"}
    set_sides(database, layer, rules)
    return layer


def _has_late_duplicates(database: AuditDatabase) -> bool:
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_catalog = ? AND table_name = ?"
    return bool(database.value(tables, GOLD, LATE_DUPLICATES))


def _count(database: AuditDatabase, layer: Layer, scope: Scope) -> None:
    """Compare only the numbers of rows, because there is nothing to match rows by."""
    report, fact = layer.report, layer.sinks[FACT]
    report.leave_out(f"{fact} shares no column with its source: rows were only counted", report.checked)
    if scope.whole:
        surplus = database.value(f"SELECT count(*) FROM {layer.held[FACT]}") - report.checked
        report.missing, report.duplicated = max(-surplus, 0), max(surplus, 0)
