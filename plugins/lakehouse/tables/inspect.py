"""Queries of a table's metadata, and time travel, with pyiceberg, DuckDB, or Flink SQL (`include/sql/inspect/`)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.flink import SqlGatewayHook
from lakehouse.airflow.hooks.iceberg import CATALOG, IcebergCatalogHook
from lakehouse.pipelines.script import BATCH, catalog_statement, render
from lakehouse.tables.duckdb_iceberg import IcebergDatabase
from lakehouse.texts import epoch_ms, sql_problem

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

Rows = list[dict[str, Any]]

FLINK_LIMIT_S = 300
COUNT = "SELECT COUNT(*) AS row_count FROM {table}"
_SNAPSHOT = re.compile(r"\d{1,19}", re.ASCII)


#: Question -> pyiceberg's inspection that answers it, and the DuckDB query that returns the same columns as Flink's SQL.
QUESTIONS: Mapping[str, tuple[Callable[[Table], pa.Table], str]] = {
    "history": (
        lambda table: table.inspect.history(),
        "SELECT made_current_at, snapshot_id, parent_id, is_current_ancestor FROM answer ORDER BY made_current_at DESC",
    ),
    "snapshots": (
        lambda table: table.inspect.snapshots(),
        (
            "SELECT committed_at, snapshot_id, operation, summary['added-records'] AS added_rows,"
            " summary['total-records'] AS total_rows, summary['total-data-files'] AS total_files,"
            " summary['flink.job-id'] AS flink_job FROM answer ORDER BY committed_at DESC"
        ),
    ),
    "files": (
        lambda table: table.inspect.files(),
        (
            "SELECT content, record_count, file_size_in_bytes, sort_order_id, file_path FROM answer"
            " ORDER BY file_size_in_bytes, file_path"
        ),
    ),
    "table-size": (
        lambda table: table.inspect.files(),
        (
            "SELECT content, count(*) AS files, sum(record_count)::BIGINT AS row_count, sum(file_size_in_bytes)::BIGINT AS bytes,"
            " min(file_size_in_bytes) AS smallest, max(file_size_in_bytes) AS largest FROM answer GROUP BY content"
        ),
    ),
}


def ask(question: str, name: str, limit: int = 50) -> Rows:
    """Answer one of `QUESTIONS` about `namespace.table` with pyiceberg.

    :raises AirflowException: the table does not exist, or the catalog is unavailable
    """
    inspect, query = QUESTIONS[question]
    with duckdb.connect() as connection:
        connection.register("answer", inspect(IcebergCatalogHook().table(name)))
        return _rows(connection.execute(f"{query} LIMIT {limit}"))


def ask_flink(question: str, name: str, **values: Any) -> Rows:
    """The same with the SQL in `include/sql/inspect/`, in Flink's SQL Gateway.

    :raises FlinkError: Flink rejected it, or is unavailable
    """
    namespace, _, table = name.partition(".")
    with SqlGatewayHook().session(BATCH) as session:
        session.execute(catalog_statement())
        # Flink asks the session's catalog for a table as it was, whichever catalog the name says.
        session.execute(f"USE CATALOG {CATALOG}")
        return session.query(
            render(f"inspect/{question}.sql", namespace=namespace, table=table, **values), FLINK_LIMIT_S
        )


def snapshot_at(table: Table, at: str) -> Snapshot:
    """The snapshot with this id, or the one that was current at this time (ISO 8601, in UTC unless it has an offset).

    :raises AirflowException: there was no snapshot yet, or it has expired
    """
    found = table.snapshot_by_id(int(at)) if _SNAPSHOT.fullmatch(at) else table.snapshot_as_of_timestamp(_epoch_ms(at))
    if found is None:
        oldest = min((entry.timestamp_ms for entry in table.history()), default=None)
        since = f"{datetime.fromtimestamp(oldest / 1000, UTC):%Y-%m-%dT%H:%M:%S.%fZ}" if oldest else "none"
        raise AirflowException(
            f"{'.'.join(table.name())} has no snapshot of {at}: the table was not written yet, or the snapshot has expired. "
            f"Next: choose a later one; the oldest is of {since} (make history)."
        )
    return found


def query_at(name: str, at: str, query: str = COUNT, engine: str = "duckdb") -> Rows:
    """Query a table as of a time or snapshot.

    :param at: a time (ISO 8601) or a snapshot id
    :param query: SQL in which `{table}` stands for the table
    :param engine: duckdb, pyiceberg (pyiceberg reads, DuckDB queries) or flink (times only)
    :raises AirflowException: the table or snapshot does not exist, or it cannot be read
    """
    if engine == "flink":
        return ask_flink("query-at", name, query=query, at=_epoch_ms(at))
    table = IcebergCatalogHook().table(name)
    snapshot = snapshot_at(table, at)
    with (
        tempfile.TemporaryDirectory(prefix="lakehouse-query-") as folder,
        IcebergDatabase(Path(folder), "1GB") as database,
    ):
        if engine == "pyiceberg":
            database.connection.register(
                "table_then", table.scan(snapshot_id=snapshot.snapshot_id).to_arrow_batch_reader()
            )
        else:
            database.view("table_then", table, snapshot.snapshot_id)
        try:
            return _rows(database.connection.execute(query.replace("{table}", "table_then")))
        except duckdb.Error as error:
            raise AirflowException(
                f"The query of {name} at {at} failed: {sql_problem(error)} Next: correct it; {{table}} stands for the table"
            ) from error


def _epoch_ms(at: str) -> int:
    try:
        return epoch_ms(at)
    except ValueError as error:
        raise AirflowException(str(error)) from error


def _rows(cursor: Any) -> Rows:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
