"""A dbt-duckdb plugin that connects a run to one Gold file and one version of its source, both given by the environment.

`LAKEHOUSE_GOLD_PATH` is the DuckDB file to build in, `LAKEHOUSE_SOURCE_METADATA` the run's copy of the Iceberg metadata file.
For a table in an object store, the usual AWS variables apply.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin  # noqa: TID253 (only dbt imports this module)

from lakehouse.tables.duckdb_access import allow_s3, load_extensions
from lakehouse.texts import sql_literal


class Plugin(BasePlugin):  # type: ignore[misc]  # mypy does not read dbt
    """The hooks that dbt-duckdb calls when it opens the database and each cursor."""

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Open this run's file instead of the path in the profile."""
        path = Path(os.environ.get("LAKEHOUSE_GOLD_PATH", ""))
        if path.name != "gold.duckdb":
            raise RuntimeError(
                f"LAKEHOUSE_GOLD_PATH is '{path}'. Next: set it to a path that ends in gold.duckdb (DuckDB names the database "
                "after the file, and the SQL is compiled for `gold`)."
            )
        creds.path = str(path)

    def configure_connection(self, conn: Any) -> None:
        """Load the extensions, and allow access to the source's object store."""
        load_extensions(conn)
        if (source := _source()) and _table_location(conn, source).startswith("s3"):
            allow_s3(conn)

    def configure_cursor(self, cursor: Any) -> None:
        """Pin the version of the source: `getvariable('source_metadata')` in SQL."""
        cursor.execute(f"set variable source_metadata = {sql_literal(_source())}")


def _source() -> str:
    return os.environ.get("LAKEHOUSE_SOURCE_METADATA", "")


def _table_location(conn: Any, metadata: str) -> str:
    [(location,)] = conn.execute("select content ->> 'location' from read_text(?)", [metadata]).fetchall()
    return str(location)
