"""The DuckDB database of one audit: the tables as they were when it began, and what it works out, spilled to disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.paths import SQL
from lakehouse.quality.audit.event_fields import FIELDS
from lakehouse.tables.duckdb_iceberg import IcebergDatabase

if TYPE_CHECKING:
    from pyiceberg.table import Table

AUDIT_SQL = SQL / "audit"
#: Each layer by a view of its own, read from the last to the first: what one holds, the one before held already.
TABLES = (
    "silver.duplicate_trips",
    "silver.rejected_trips",
    "silver.cleaned_trips",
    "bronze.rejected_events",
    "bronze.raw_trips",
)


class AuditDatabase(IcebergDatabase):
    """DuckDB with the tables that are compared, and with what is found."""

    def __init__(self, folder: Path, memory_limit: str) -> None:
        super().__init__(folder, memory_limit)
        self.connection.execute(
            "CREATE TABLE findings (layer VARCHAR, kind VARCHAR, surplus BIGINT, held BIGINT,"
            " kafka_partition INTEGER, kafka_offset BIGINT, trip_id VARCHAR)"
        )
        self._sql = Environment(loader=FileSystemLoader(AUDIT_SQL), undefined=StrictUndefined)

    def pin(self, schema: str) -> dict[str, Table]:
        """Make a view `schema.name` of each table at its newest snapshot."""
        iceberg = IcebergCatalogHook()
        self.connection.execute(f"CREATE OR REPLACE SCHEMA {schema}")
        tables = {name: iceberg.table(name) for name in TABLES}
        for table in tables.values():
            self.view(f"{schema}.{table.name()[-1]}", table)
        return tables

    def narrow(self, predicate: str) -> None:
        """Make a view `scoped.name` of each table that is pinned, of the rows that the predicate takes."""
        self.connection.execute("CREATE SCHEMA scoped")
        for name in TABLES:
            short = name.split(".")[1]
            self.connection.execute(f"CREATE VIEW scoped.{short} AS FROM pinned.{short} WHERE {predicate}")

    def run(self, script: str, **values: Any) -> None:
        """Run a script of `include/sql/audit`, rendered with these values."""
        self.connection.execute(self._sql.get_template(script).render(fields=FIELDS, **values))

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """The result of a query, one dict a row."""
        cursor = self.connection.execute(query, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def value(self, query: str, *parameters: Any) -> Any:
        """The one value that a query gives."""
        return self.connection.execute(query, parameters).fetchone()[0]
