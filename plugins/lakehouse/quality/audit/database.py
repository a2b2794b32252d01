"""The DuckDB database of one audit: the pinned tables, and intermediate results, spilled to disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.pipelines.script import render
from lakehouse.tables.duckdb_iceberg import IcebergDatabase

if TYPE_CHECKING:
    from pyiceberg.table import Table

#: Schemas with a view of each table: at the pinned snapshot, only the rows in scope, and at a newer snapshot.
PINNED, SCOPED, LATER = "pinned", "scoped", "later"


def view_name(schema: str, table: str) -> str:
    """The view of `namespace.table` in one of these schemas, quoted for SQL."""
    return f'{schema}."{table}"'


class AuditDatabase(IcebergDatabase):
    """DuckDB with the tables to compare, and the findings."""

    def __init__(self, folder: Path, memory_limit: str) -> None:
        super().__init__(folder, memory_limit)
        self.connection.execute(
            "CREATE TABLE findings (layer VARCHAR, kind VARCHAR, surplus BIGINT, held BIGINT,"
            " kafka_partition INTEGER, kafka_offset BIGINT, key VARCHAR)"
        )
        self.run("audit/values.sql")

    def pin(self, schema: str, tables: Iterable[str]) -> dict[str, Table]:
        """Create a view of each table at its current snapshot, in this order."""
        iceberg = IcebergCatalogHook()
        self.connection.execute(f"CREATE OR REPLACE SCHEMA {schema}")
        loaded = {name: iceberg.table(name) for name in tables}
        for name, table in loaded.items():
            self.view(view_name(schema, name), table)
        return loaded

    def narrow(self, tables: Iterable[str], predicate: str) -> None:
        """Create a view of the rows of each pinned table that match the predicate."""
        self.connection.execute(f"CREATE SCHEMA {SCOPED}")
        for name in tables:
            rows = f"FROM {view_name(PINNED, name)} WHERE {predicate}"
            self.connection.execute(f"CREATE VIEW {view_name(SCOPED, name)} AS {rows}")

    def run(self, script: str, **values: Any) -> None:
        """Run a script in `include/sql/`, rendered with these values.

        :raises AirflowException: it cannot be rendered, or DuckDB rejects it
        """
        import duckdb
        from jinja2 import TemplateError

        try:
            self.connection.execute(render(script, **values))
        except (TemplateError, duckdb.Error) as error:
            raise AirflowException(f"include/sql/{script} cannot be run: {error}. Next: correct that file") from error

    def columns(self, relation: str, selected: str = "*") -> dict[str, str]:
        """Column in lower case -> DuckDB type, for a selection from a relation."""
        described = self.connection.execute(f"DESCRIBE SELECT {selected} FROM {relation}").fetchall()
        return {name.lower(): type_ for name, type_, *_ in described}

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """The result of a query, one dict per row."""
        cursor = self.connection.execute(query, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def value(self, query: str, *parameters: Any) -> Any:
        """The single value that a query returns."""
        [[value]] = self.connection.execute(query, parameters).fetchall()
        return value
