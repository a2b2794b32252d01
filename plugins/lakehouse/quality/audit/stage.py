"""A stage as a layer of the audit: each row of its source is in exactly one of its sinks, unaltered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lakehouse.pipelines.contract import Contract, Field
from lakehouse.pipelines.model import DUPLICATE, Pipeline, Stage
from lakehouse.pipelines.params import parameters
from lakehouse.quality.audit.database import LATER, PINNED, SCOPED, AuditDatabase, view_name
from lakehouse.quality.audit.events import EventReader
from lakehouse.quality.audit.layer import Layer, set_sides
from lakehouse.quality.audit.report import LayerReport
from lakehouse.quality.audit.scope import Scope

#: Name of the relation with the current batch of events.
BATCH = "batch"
#: SQL that stages of any pipeline can use -> the audit's implementation of its rules.
RULES_OF = {"05-bronze.sql": "audit/bronze.sql"}
GENERIC = "audit/stage.sql"


@dataclass(frozen=True)
class Value:
    """A column of a sink, and where its value comes from.

    :param source: column of the source
    :param field: the field; None for the payload
    :param is_parsed: the source has text, and the sink a value of the field's type
    """

    column: str
    source: str
    field: Field | None = None
    is_parsed: bool = False


def stage_layer(database: AuditDatabase, pipeline: Pipeline, stage: Stage) -> Layer:
    """Set up the expected rows of a stage.

    :raises AirflowException: its rules cannot be run, or expect a column that a sink does not have
    """
    schema = f"stage_{stage.name}"
    held = {role: view_name(SCOPED, table) for role, table in stage.sinks.items()}
    layer = Layer(LayerReport(stage.name), schema, stage.sinks, held, f"{schema}.wanted", stage=stage)
    _run_rules(database, pipeline, stage, layer, schema, PINNED)
    set_sides(database, layer, _rules(stage))
    if database.value("SELECT count(*) FROM duckdb_views() WHERE schema_name = ? AND view_name = 'arrivals'", schema):
        layer.arrivals_key = next(iter(database.columns(f"{schema}.arrivals")))
    if stage.reads_topic:
        layer.wanted = f"{schema}.events"
        database.connection.execute(f"CREATE TABLE {layer.wanted} AS FROM {schema}.wanted LIMIT 0")
    else:
        layer.report.checked = database.value(f"SELECT count(*) FROM {view_name(SCOPED, stage.source)}")
    return layer


def read_events(
    database: AuditDatabase, reader: EventReader, scope: Scope, layers: list[Layer], partition: int
) -> None:
    """Store the expected rows of a partition's events, for the stages that read the topic."""
    for batch in reader.tables(partition, *scope.events(partition)):
        database.connection.register(BATCH, batch)
        for layer in layers:
            database.connection.execute(f"INSERT INTO {layer.wanted} FROM {layer.schema}.wanted")


def take_expired(database: AuditDatabase, layer: Layer, scope: Scope) -> None:
    """Count the events that were read, and take deleted ones from the stage's own tables."""
    report = layer.report
    report.checked = database.value(f"SELECT count(*) FROM {layer.wanted}")
    database.run(
        "audit/expired.sql", wanted=layer.wanted, held=f"{layer.schema}.held", roles=layer.roles, expired=scope.expired
    )
    expired = sum(scope.events(partition)[0] - first for partition, (first, _) in scope.ranges.items())
    report.leave_out(f"Kafka no longer has the event: its rows were compared from {report.layer} on", expired)


def later_arrivals(database: AuditDatabase, pipeline: Pipeline, layer: Layer) -> str:
    """The view of a stage's arrivals in the newer snapshots of its tables."""
    stage = pipeline.stages[layer.report.layer]
    schema = f"later_{stage.name}"
    _run_rules(database, pipeline, stage, layer, schema, LATER)
    return f"{schema}.arrivals"


def values_of(contract: Contract, source: Mapping[str, str], sink: Mapping[str, str]) -> list[Value]:
    """The values that a sink takes from its source: each field of the contract that both have, and the payload.

    Text that was formatted from a typed value is not included, because there is more than one way to format it.

    :param source: column in lower case -> type; the same for the sink
    """
    values = [Value("payload", "payload")] if "payload" in source and "payload" in sink else []
    for field in contract.fields:
        names = field.name.lower(), field.column.lower()
        given = next((name for name in names if name in source), None)
        for column in dict.fromkeys(names):
            if given is None or column not in sink:
                continue
            from_text, to_text = source[given] == "VARCHAR", sink[column] == "VARCHAR"
            if from_text or not to_text:
                is_parsed = from_text and not to_text and field.type != "STRING"
                values.append(Value(column, given, field, is_parsed))
    return values


def _rules(stage: Stage) -> str:
    return stage.audit or RULES_OF.get(stage.sql, GENERIC)


def _run_rules(
    database: AuditDatabase, pipeline: Pipeline, stage: Stage, layer: Layer, schema: str, tables: str
) -> None:
    """Run the file of rules, with its views in one schema, reading the stage's tables from the views of another."""
    rules = _rules(stage)
    source = BATCH if stage.reads_topic else view_name(SCOPED, stage.source)
    columns = database.columns(source)
    values: dict[str, list[Value]] = {
        role: [] if role == DUPLICATE else values_of(pipeline.contract, columns, database.columns(relation))
        for role, relation in layer.held.items()
    }
    if rules == GENERIC:
        for role, found in values.items():
            if not found and role != DUPLICATE:
                rows = database.value(f"SELECT count(*) FROM {layer.held[role]}")
                layer.report.leave_out(f"{stage.sinks[role]} has no column of the contract: compared by position", rows)
    database.connection.execute(f"CREATE OR REPLACE SCHEMA {schema}")
    database.run(
        rules,
        pipeline=pipeline,
        stage=stage,
        contract=pipeline.contract,
        params=parameters(pipeline),
        here=schema,
        source=source,
        sinks={role: view_name(tables, table) for role, table in stage.sinks.items()},
        values=values,
    )
