"""One layer of an audit: the rows that its source asks for, worked out apart from the pipeline, against those that it holds.

What the source asks for is a view `expected`, written in SQL (`include/sql/audit/`, or the file that the declaration names): the
key of each row of the source and, for each role, a struct of the row that the sink of that role may hold; NULL: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow.sdk.exceptions import AirflowException

from lakehouse.pipelines.model import REJECTED, Stage
from lakehouse.quality.audit.database import AuditDatabase, view_name
from lakehouse.quality.audit.report import KINDS, LayerReport
from lakehouse.quality.audit.scope import Scope

#: So many rows take some 250 MB while they are compared.
ROWS_AT_ONCE = 1_500_000
POSITION = ("kafka_partition", "kafka_offset")


@dataclass
class Layer:
    """A stage, or the fact of Gold.

    :param schema: DuckDB schema of its own views
    :param sinks: role -> table, as people know it
    :param held: role -> relation of the rows that are compared
    :param wanted: relation of the digests that the source asks for
    :param key: columns that tell its rows apart
    :param stage: None of Gold
    :param arrivals_key: column that is equal in all arrivals of one thing, of which exactly one is accepted
    :param roles: role -> column that is compared -> its type in the sink; none: rows cannot be compared
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
        """The key as SQL lists it."""
        return ", ".join(f'"{name}"' for name in self.key)

    def positions(self, schema: str) -> str:
        """SQL: the positions of all rows that a stage's tables hold, by views of this schema."""
        tables = (view_name(schema, table) for table in self.sinks.values())
        return " UNION ALL ".join(f"SELECT {', '.join(POSITION)} FROM {table}" for table in tables)


def set_sides(database: AuditDatabase, layer: Layer, rules: str) -> None:
    """Make the views of both sides' digests.

    :param rules: the file that made the view `expected`
    :raises AirflowException: that view has no struct for a role, or a sink lacks a column of it
    """
    import duckdb

    columns = {role: database.columns(relation) for role, relation in layer.held.items()}
    roles: dict[str, dict[str, str]] = {}
    for role, held in columns.items():
        try:
            expected = database.columns(f"{layer.schema}.expected", f'unnest("{role}")')
        except duckdb.Error as error:
            raise AirflowException(
                f"include/sql/{rules}: the view `expected` has no struct {role!r}. Next: add one, of the columns that "
                f"{layer.sinks[role]} must hold"
            ) from error
        if lacking := sorted(expected.keys() - held.keys()):
            raise AirflowException(
                f"{layer.sinks[role]} has no column {lacking[0]!r}, which include/sql/{rules} asks for. Next: run the DAG that "
                "adds it (flink_jobs for a table, the pipeline's own for Gold), or correct that file"
            )
        roles[role] = {column: held[column] for column in expected}
    layer.roles = roles
    with_reason = [role for role in roles if role == REJECTED and "reason" in columns[role]]
    database.run(
        "audit/sides.sql", here=layer.schema, key=layer.keys, roles=roles, sinks=layer.held, with_reason=with_reason
    )


def compare(database: AuditDatabase, layer: Layer, scope: Scope) -> None:
    """Note each key whose rows are not those that the source asks for."""
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
    """Count what was found."""
    counts = database.rows(
        "SELECT kind, sum(surplus)::BIGINT AS rows FROM findings WHERE layer = ? GROUP BY kind", layer.schema
    )
    for row in counts:
        assert row["kind"] in KINDS
        setattr(layer.report, row["kind"], row["rows"])
