"""The DuckDB database of one audit: the tables as they were when it began, and what it works out, spilled to disk."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.audit.event_fields import FIELDS
from lakehouse.hooks.iceberg import IcebergCatalogHook

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyiceberg.table import Table

SQL = Path(__file__).parents[3] / "include" / "sql" / "audit"
EXTENSIONS = ("avro", "httpfs", "iceberg")
#: Each layer by a view of its own, read from the last to the first: what one holds, the one before held already.
TABLES = (
    "silver.duplicate_trips",
    "silver.rejected_trips",
    "silver.cleaned_trips",
    "bronze.rejected_events",
    "bronze.raw_trips",
)


class AuditDatabase:
    """DuckDB with Iceberg, in a folder of its own.

    :param folder: for the database, what it spills, and the metadata of the pinned tables
    :param memory_limit: of DuckDB's buffers, for example "1GB"
    """

    def __init__(self, folder: Path, memory_limit: str) -> None:
        import duckdb

        self.folder = folder
        config = {
            "memory_limit": memory_limit,
            "temp_directory": str(folder / "spilled"),
            "preserve_insertion_order": "false",
        }
        self.connection: DuckDBPyConnection = duckdb.connect(str(folder / "audit.duckdb"), config=config)
        for name in EXTENSIONS:
            self.connection.load_extension(_extension(name))
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(
            "CREATE TABLE findings (layer VARCHAR, kind VARCHAR, surplus BIGINT, held BIGINT,"
            " kafka_partition INTEGER, kafka_offset BIGINT, trip_id VARCHAR)"
        )
        self._sql = Environment(loader=FileSystemLoader(SQL), undefined=StrictUndefined)

    def __enter__(self) -> AuditDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def pin(self, schema: str) -> dict[str, Table]:
        """Make a view `schema.name` of each table at its newest snapshot."""
        iceberg = IcebergCatalogHook()
        self.connection.execute(f"CREATE OR REPLACE SCHEMA {schema}")
        tables = {name: iceberg.table(name) for name in TABLES}
        for table in tables.values():
            self.view(f"{schema}.{table.name()[-1]}", table)
        return tables

    def view(self, name: str, table: Table, snapshot_id: int | None = None) -> None:
        """Make a view of one table, at its newest snapshot or another."""
        if table.current_snapshot() is None:
            self.connection.register("nothing", table.schema().as_arrow().empty_table())
            self.connection.execute(f"CREATE TABLE {name} AS FROM nothing")
            return
        self._authenticate(table)
        # A copy: the table's own metadata file goes after some more commits.
        copy = self.folder / f"{name}.metadata.json"
        with table.io.new_input(table.metadata_location).open() as file:
            copy.write_bytes(file.read())
        version = f", snapshot_from_id = {snapshot_id}" if snapshot_id else ""
        self.connection.execute(f"CREATE VIEW {name} AS FROM iceberg_scan('{copy}'{version})")

    def narrow(self, predicate: str) -> None:
        """Make a view `scoped.name` of each table that is pinned, of the rows that the predicate takes."""
        self.connection.execute("CREATE SCHEMA scoped")
        for name in TABLES:
            short = name.split(".")[1]
            self.connection.execute(f"CREATE VIEW scoped.{short} AS FROM pinned.{short} WHERE {predicate}")

    def _authenticate(self, table: Table) -> None:
        """Let DuckDB into the object store as the catalog's properties say."""
        properties = table.io.properties
        if not table.metadata_location.startswith("s3"):
            return
        endpoint = urlsplit(properties.get("s3.endpoint", ""))
        options = {
            "KEY_ID": properties.get("s3.access-key-id"),
            "SECRET": properties.get("s3.secret-access-key"),
            "SESSION_TOKEN": properties.get("s3.session-token"),
            "REGION": properties.get("s3.region") or properties.get("client.region"),
            **({"ENDPOINT": endpoint.netloc, "URL_STYLE": "path"} if endpoint.netloc else {}),
        }
        given = [f"{name} '{value}'" for name, value in options.items() if value]
        plain = ["USE_SSL false"] if endpoint.scheme == "http" else []
        self.connection.execute(f"CREATE OR REPLACE SECRET warehouse (TYPE s3, {', '.join([*given, *plain])})")

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


def _extension(name: str) -> str:
    import duckdb

    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    return str(Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension")
