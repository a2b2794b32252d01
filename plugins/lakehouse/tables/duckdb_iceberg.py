"""Iceberg tables as views in DuckDB."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lakehouse.tables.duckdb_access import allow_s3, load_extensions
from lakehouse.texts import sql_literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyiceberg.table import Table


def copy_metadata(table: Table, copy: Path) -> None:
    """Copy a table's metadata file for a reader, because the writer deletes old ones after some commits."""
    with table.io.new_input(table.metadata_location).open() as file:
        copy.write_bytes(file.read())


class IcebergDatabase:
    """A temporary DuckDB database with views of Iceberg tables.

    :param folder: for the database, what it spills, and copies of the tables' metadata
    :param memory_limit: for DuckDB's buffers, such as "1GB"
    """

    def __init__(self, folder: Path, memory_limit: str) -> None:
        import duckdb

        self.folder = folder
        config: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": str(folder / "spilled"),
            "preserve_insertion_order": "false",
        }
        self.connection: DuckDBPyConnection = duckdb.connect(str(folder / "iceberg.duckdb"), config=config)
        load_extensions(self.connection)
        self.connection.execute("SET TimeZone = 'UTC'")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def keep_spans(self, name: str, spans: Iterable[tuple[int, int, int]]) -> str:
        """Create a table of ranges: Kafka partition, first offset, and offset after the last one; at least one range.

        :return: SQL condition for rows whose position is in one of them
        """
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} (partition INTEGER, first BIGINT, after BIGINT)")
        self.connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", [list(span) for span in spans])
        return "kafka_partition = partition AND kafka_offset >= first AND kafka_offset < after"

    def view(self, name: str, table: Table, snapshot_id: int | None = None) -> None:
        """Create a view of a table at its current snapshot, or at another."""
        if table.current_snapshot() is None:
            self.connection.register("nothing", table.schema().as_arrow().empty_table())
            self.connection.execute(f"CREATE TABLE {name} AS FROM nothing")
            return
        if table.metadata_location.startswith("s3"):
            allow_s3(self.connection, table.io.properties)
        copy = self.folder / f"{name}.metadata.json"
        copy_metadata(table, copy)
        version = f", snapshot_from_id = {snapshot_id}" if snapshot_id else ""
        self.connection.execute(f"CREATE VIEW {name} AS FROM iceberg_scan({sql_literal(str(copy))}{version})")
