"""Iceberg tables in DuckDB, read by DuckDB itself."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyiceberg.table import Table

EXTENSIONS = ("avro", "httpfs", "iceberg")


class IcebergDatabase:
    """DuckDB with Iceberg, in a folder of its own.

    :param folder: for the database, what it spills, and the metadata of the tables that are looked at
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
        self.connection: DuckDBPyConnection = duckdb.connect(str(folder / "iceberg.duckdb"), config=config)
        for name in EXTENSIONS:
            self.connection.load_extension(_extension(name))
        self.connection.execute("SET TimeZone = 'UTC'")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

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

    def _authenticate(self, table: Table) -> None:
        """Let DuckDB into the object store as the catalog's properties say, or else the environment, as for every client."""
        properties = table.io.properties
        if not table.metadata_location.startswith("s3"):
            return
        endpoint = urlsplit(properties.get("s3.endpoint", ""))
        options = {
            "KEY_ID": properties.get("s3.access-key-id") or os.environ.get("AWS_ACCESS_KEY_ID"),
            "SECRET": properties.get("s3.secret-access-key") or os.environ.get("AWS_SECRET_ACCESS_KEY"),
            "SESSION_TOKEN": properties.get("s3.session-token") or os.environ.get("AWS_SESSION_TOKEN"),
            "REGION": properties.get("s3.region") or properties.get("client.region"),
            **({"ENDPOINT": endpoint.netloc, "URL_STYLE": "path"} if endpoint.netloc else {}),
        }
        given = [f"{name} '{value}'" for name, value in options.items() if value]
        plain = ["USE_SSL false"] if endpoint.scheme == "http" else []
        self.connection.execute(f"CREATE OR REPLACE SECRET warehouse (TYPE s3, {', '.join([*given, *plain])})")
        if authority := os.environ.get("AWS_CA_BUNDLE"):
            self.connection.execute(f"SET ca_cert_file = '{authority}'")
            self.connection.execute("SET enable_server_cert_verification = true")


def _extension(name: str) -> str:
    import duckdb

    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    return str(Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension")
