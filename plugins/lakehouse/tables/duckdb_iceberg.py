"""Iceberg tables in DuckDB, read by DuckDB itself."""

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
    """Copy a table's metadata file, for a reader to whom it must not get lost: the writer deletes it after some commits."""
    with table.io.new_input(table.metadata_location).open() as file:
        copy.write_bytes(file.read())


class IcebergDatabase:
    """DuckDB with Iceberg, in a folder of its own.

    :param folder: for the database, what it spills, and the metadata of the tables that are looked at
    :param memory_limit: of DuckDB's buffers, for example "1GB"
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
        """Make a table of ranges: Kafka partition, first offset and offset after the last one; at least one.

        :return: SQL: whether a row's position is in one of them
        """
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} (partition INTEGER, first BIGINT, after BIGINT)")
        self.connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", [list(span) for span in spans])
        return "kafka_partition = partition AND kafka_offset >= first AND kafka_offset < after"

    def view(self, name: str, table: Table, snapshot_id: int | None = None) -> None:
        """Make a view of one table, at its newest snapshot or another."""
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
