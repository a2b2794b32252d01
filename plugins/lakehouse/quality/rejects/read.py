"""Reads rejected events from the tables, and which of them have been fixed since.

An event that corrects a rejected one has the position of that one in the column `mends` of Bronze.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.pipelines.contract import Field
from lakehouse.pipelines.model import REJECTED, Pipeline, Stage
from lakehouse.texts import NUMBER

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection
    from pyiceberg.table import DataScan, Table

MENDS = "mends"
#: Columns with the time when a row was written; a table has one of them.
WRITTEN_AT = ("ingested_at", "processed_at")
#: Of DuckDB's buffers; what does not fit is spilled.
MEMORY_LIMIT = "128MB"


@dataclass(frozen=True)
class Reason:
    """A reason why events were rejected, and how many.

    :param fixed: number of rejected events for which a correction was sent
    :param last_at: when the latest was rejected; None if the table does not record it
    """

    stage: str
    reason: str
    rejected: int
    fixed: int
    last_at: datetime | None


@dataclass(frozen=True)
class Reject:
    """One rejected event.

    :param payload: its value; from a stage that reads a table, rebuilt as JSON
    :param rebuilt: whether the payload was rebuilt
    """

    stage: str
    partition: int
    offset: int
    reason: str
    payload: bytes | None
    rebuilt: bool = False

    @property
    def position(self) -> str:
        """Partition and offset, in the format of the header and column `mends`."""
        return f"{self.partition}:{self.offset}"


def rejecting_stages(pipeline: Pipeline, name: str | None = None) -> list[Stage]:
    """The stages that reject events, or the one with this name.

    :raises AirflowException: there is no such stage
    """
    stages = {stage.name: stage for stage in pipeline.stages.values() if REJECTED in stage.sinks}
    if name is None:
        return list(stages.values())
    if name not in stages:
        raise AirflowFailException(
            f"No stage {name!r} of {pipeline.name} rejects events. Next: choose one of {', '.join(stages) or '(there is none)'}"
        )
    return [stages[name]]


def reasons(pipeline: Pipeline, stage: str | None = None) -> list[Reason]:
    """The reasons of all stages, or of one, the most frequent first.

    :raises AirflowException: there is no such stage, or the catalog cannot be read; the message says what to do
    """
    found = []
    for rejecting in rejecting_stages(pipeline, stage):
        table = IcebergCatalogHook().table(rejecting.sinks[REJECTED])
        at = [name for name in WRITTEN_AT if name in table.schema().column_names][:1]
        last = f"epoch(max({at[0]}))" if at else "NULL"
        with _rejects(pipeline, table, at) as connection:
            rows = connection.execute(
                f"SELECT reason, count(*) AS rejected, count({MENDS}), {last} FROM rejects GROUP BY reason "
                "ORDER BY rejected DESC, reason"
            ).fetchall()
        found += [
            Reason(
                rejecting.name, why, rejected, fixed, None if moment is None else datetime.fromtimestamp(moment, UTC)
            )
            for why, rejected, fixed, moment in rows
        ]
    return found


def open_rejects(
    pipeline: Pipeline, stage: str, reason: str | None = None, limit: int | None = None
) -> Iterator[Reject]:
    """Rejected events of a stage that are not fixed yet, by position; optionally of one reason, and only the first ones.

    :raises AirflowException: there is no such stage, its table does not contain the events, or the catalog cannot be read
    """
    [rejecting] = rejecting_stages(pipeline, stage)
    table = IcebergCatalogHook().table(rejecting.sinks[REJECTED])
    content = _content(pipeline, table)
    names = ", ".join(f'"{name}"' for name in content)
    wanted = "" if reason is None else "AND reason = $reason"
    given: dict[str, Any] = {"limit": limit} if reason is None else {"limit": limit, "reason": reason}
    rebuilt = content != ["payload"]
    with _rejects(pipeline, table, content) as connection:
        rows = connection.execute(
            f"SELECT kafka_partition, kafka_offset, reason, {names} FROM rejects WHERE {MENDS} IS NULL {wanted} "
            "ORDER BY kafka_partition, kafka_offset LIMIT $limit",
            given,
        )
        while batch := rows.fetchmany(1_000):
            for partition, offset, why, *values in batch:
                payload = _as_event(pipeline.contract.fields, values) if rebuilt else values[0]
                yield Reject(rejecting.name, partition, offset, why, payload, rebuilt)


def rejected_positions(pipeline: Pipeline) -> Iterator[pa.RecordBatch]:
    """Positions ("partition:offset") of all rejected events, as batches with one column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for stage in rejecting_stages(pipeline):
        table = IcebergCatalogHook().table(stage.sinks[REJECTED])
        for batch in _batches(table.scan(selected_fields=("kafka_partition", "kafka_offset"))):
            partition, offset = (batch.column(name).cast(pa.string()) for name in ("kafka_partition", "kafka_offset"))
            yield pa.RecordBatch.from_arrays([pc.binary_join_element_wise(partition, offset, ":")], ["position"])


def fixed_positions(pipeline: Pipeline) -> Iterator[pa.RecordBatch]:
    """Positions ("partition:offset") of rejected events for which a correction arrived, as batches with one column.

    Files without corrections are not read.

    :raises AirflowException: a table has no column `mends`, or the catalog cannot be read
    """
    for name in topic_tables(pipeline):
        table = IcebergCatalogHook().table(name)
        if MENDS not in table.schema().column_names:
            raise AirflowException(
                f"{name} has no column {MENDS}: it is unknown which rejected events were fixed. "
                f"Next: have its SQL keep the header {MENDS}, as 05-bronze.sql does."
            )
        yield from _batches(table.scan(f"{MENDS} IS NOT NULL", selected_fields=(MENDS,)))


def _batches(scan: DataScan) -> Iterator[pa.RecordBatch]:
    """The result of a scan, file by file; pyiceberg's own reader reads all files into memory at once."""
    from pyiceberg.io.pyarrow import ArrowScan

    reader = ArrowScan(scan.table_metadata, scan.io, scan.projection(), scan.row_filter, scan.case_sensitive)
    for file in scan.plan_files():
        yield from reader.to_record_batches([file])


def topic_tables(pipeline: Pipeline) -> list[str]:
    """The tables of all stages that read the topic."""
    return [table for stage in pipeline.stages.values() if stage.reads_topic for table in stage.tables]


def _content(pipeline: Pipeline, table: Table) -> list[str]:
    """The columns with the content of an event: its payload, or all of the contract's fields as text."""
    from pyiceberg.types import StringType

    types = {field.name: field.field_type for field in table.schema().fields}
    if "payload" in types:
        return ["payload"]
    if lacking := [name for name in pipeline.contract.names if not isinstance(types.get(name), StringType)]:
        raise AirflowException(
            f"{'.'.join(table.name())} does not keep {', '.join(lacking)} as text: its events cannot be rebuilt. Next: run the "
            "DAG flink_jobs, which adds new fields, or have its SQL keep the contract's fields (fields.text_columns)."
        )
    return list(pipeline.contract.names)


@contextmanager
def _rejects(pipeline: Pipeline, table: Table, columns: list[str]) -> Iterator[DuckDBPyConnection]:
    """A table's rejected events as the view `rejects`, in which `mends` is set if the event is fixed.

    DuckDB reads the table itself, and spills to a temporary folder when it sorts.
    """
    import pyarrow as pa

    from lakehouse.tables.duckdb_iceberg import IcebergDatabase

    wanted = ", ".join(f'"{name}"' for name in ("kafka_partition", "kafka_offset", "reason", *columns))
    with (
        tempfile.TemporaryDirectory(prefix="lakehouse-rejects-") as folder,
        IcebergDatabase(Path(folder), MEMORY_LIMIT) as database,
    ):
        connection = database.connection
        connection.execute("SET threads = 1")  # each thread has its own buffers
        database.view("rows", table)
        connection.execute("CREATE TABLE named (position VARCHAR)")
        for batch in fixed_positions(pipeline):
            connection.register("batch", pa.Table.from_batches([batch]))
            connection.execute("INSERT INTO named FROM batch")
        connection.execute(f"CREATE TABLE fixed AS SELECT DISTINCT position AS {MENDS} FROM named")
        connection.execute(
            f"CREATE TEMP VIEW rejects AS FROM (SELECT {wanted} FROM rows) LEFT JOIN fixed "
            f"ON {MENDS} = kafka_partition || ':' || kafka_offset"
        )
        yield connection


def _as_event(fields: tuple[Field, ...], texts: list[str | None]) -> bytes:
    """Rebuild the event, with each field as in the contract; null if it was null or missing."""
    import orjson

    return orjson.dumps({field.name: _value(field, text) for field, text in zip(fields, texts, strict=True)})


def _value(field: Field, text: str | None) -> Any:
    """A number digit by digit, a boolean, or a structure as JSON; text that is not a valid value stays text."""
    import orjson

    match field.json_type:
        case "string":
            return text
        case "integer" | "number":
            is_json = text is not None and bool(NUMBER.fullmatch(text))
        case "boolean":
            is_json = text in ("true", "false")
        case _:
            is_json = text is not None and _is_structure(text)
    # A line break, which can only be between the tokens of a structure, would break the JSON lines format.
    return orjson.Fragment(re.sub(r"[\r\n]", " ", text)) if text is not None and is_json else text


def _is_structure(text: str) -> bool:
    import orjson

    try:
        return isinstance(orjson.loads(text), dict | list)
    except orjson.JSONDecodeError:
        return False
