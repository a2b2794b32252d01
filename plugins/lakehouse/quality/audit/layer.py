"""One layer of an audit: compares the expected rows, computed independently from its source, with the actual ones.

The expected rows are a SQL view `expected` (in `include/sql/audit/`, or in the file that the declaration names): the key of each
row of the source and, for each role, a struct of the row that the sink of that role may contain; NULL: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow.sdk.exceptions import AirflowException

from lakehouse.pipelines.model import REJECTED, Stage
from lakehouse.quality.audit.database import AuditDatabase, view_name
from lakehouse.quality.audit.report import KINDS, LayerReport
from lakehouse.quality.audit.scope import Scope

#: Comparing this many rows takes some 250 MB.
ROWS_AT_ONCE = 1_500_000
POSITION = ("kafka_partition", "kafka_offset")


@dataclass
class Layer:
    """A stage, or the fact of Gold.

    :param schema: DuckDB schema of its own views
    :param sinks: role -> table, for reports
    :param held: role -> relation of the actual rows
    :param wanted: relation of the expected digests
    :param key: columns that identify a row
    :param stage: None for Gold
    :param arrivals_key: column that is equal in all arrivals of the same thing, exactly one of which is accepted
    :param roles: role -> column to compare -> its type in the sink; empty: rows cannot be compared
    """

    report: LayerReport
    schema: str
    sinks: Mapping[str, str]
    held: Mapping[str, str]
    wanted: str
    key: tuple[str, ...] = POSITION
    stage: Stage | None = None
    arrivals_key: str | None = None
    roles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def keys(self) -> str:
        """The key columns as a SQL list."""
        return ", ".join(f'"{name}"' for name in self.key)

    def positions(self, schema: str) -> str:
        """SQL query for the positions of all rows of a stage's tables, from the views in this schema."""
        tables = (view_name(schema, table) for table in self.sinks.values())
        return " UNION ALL ".join(f"SELECT {', '.join(POSITION)} FROM {table}" for table in tables)


def set_sides(database: AuditDatabase, layer: Layer, rules: str) -> None:
    """Create the views with the digests of both sides.

    :param rules: the file that created the view `expected`
    :raises AirflowException: that view has no struct for a role, or a sink lacks one of its columns
    """
    import duckdb

    columns = {role: database.columns(relation) for role, relation in layer.held.items()}
    roles: dict[str, dict[str, str]] = {}
    for role, held in columns.items():
        try:
            expected = database.columns(f"{layer.schema}.expected", f'unnest("{role}")')
        except duckdb.Error as error:
            raise AirflowException(
                f"include/sql/{rules}: the view `expected` has no struct {role!r}. Next: add one with the columns that "
                f"{layer.sinks[role]} must have"
            ) from error
        if lacking := sorted(expected.keys() - held.keys()):
            raise AirflowException(
                f"{layer.sinks[role]} has no column {lacking[0]!r}, which include/sql/{rules} expects. Next: run the DAG that "
                "adds it (flink_jobs for a table, the pipeline's own for Gold), or correct that file"
            )
        roles[role] = {column: held[column] for column in expected}
    layer.roles = roles
    with_reason = [role for role in roles if role == REJECTED and "reason" in columns[role]]
    database.run(
        "audit/sides.sql", here=layer.schema, key=layer.keys, roles=roles, sinks=layer.held, with_reason=with_reason
    )


def compare(database: AuditDatabase, layer: Layer, scope: Scope) -> None:
    """Record a finding for each key whose actual rows differ from the expected ones."""
    if not layer.roles:
        return
    of_layer = {"here": layer.schema, "roles": layer.roles}
    as_found = layer.keys if layer.key == POSITION else f"CAST({layer.keys} AS VARCHAR) AS key"
    database.run("audit/digests.sql", wanted=layer.wanted, held=f"{layer.schema}.held")
    buckets = 1 + layer.report.checked // ROWS_AT_ONCE
    for bucket in range(buckets):
        part = {"bucket": bucket, "buckets": buckets}
        database.run("audit/compare.sql", key=layer.keys, as_found=as_found, **of_layer, **part)
    if layer.arrivals_key:
        for bucket in range(buckets):
            part = {"bucket": bucket, "buckets": buckets}
            database.run(
                "audit/duplicates.sql", key=layer.arrivals_key, in_scope=scope.predicate, here=layer.schema, **part
            )


def conclude(database: AuditDatabase, layer: Layer) -> None:
    """Count the findings by kind."""
    counts = database.rows(
        "SELECT kind, sum(surplus)::BIGINT AS rows FROM findings WHERE layer = ? GROUP BY kind", layer.schema
    )
    for row in counts:
        assert row["kind"] in KINDS
        setattr(layer.report, row["kind"], row["rows"])
