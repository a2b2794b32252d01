"""Which rows are erased: those that a condition selects in one table, and all others of the same events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.erasure import log
from lakehouse.erasure.log import Erasure
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import Pipeline
from lakehouse.quality.rejects.read import MENDS
from lakehouse.reconciliation.changes import POSITION
from lakehouse.reconciliation.positions import Positions, Rows
from lakehouse.tables.duckdb_iceberg import IcebergDatabase
from lakehouse.tables.namespaces import backup_of
from lakehouse.texts import sql_problem

MEMORY = "1GB"


@dataclass(frozen=True)
class Selection:
    """What is going to be erased.

    :param table: the table that the condition was applied to
    :param topic_id: Kafka's id of the topic that the positions refer to
    :param positions: of the selected events, of those that they correct, and of those that correct them
    :param interrupted: unfinished erasures of the pipeline
    :param everything: positions of its own events and of the unfinished erasures
    :param rows: table -> number of rows of all of these events
    """

    pipeline: Pipeline
    table: str
    topic_id: str
    positions: Positions
    interrupted: list[Erasure]
    everything: Positions
    rows: Mapping[str, int]


def select(table: str, where: str) -> Selection:
    """Look up what a condition selects. Nothing is changed.

    :param table: a table of a declared pipeline
    :param where: condition on its columns, in DuckDB's SQL
    :raises AirflowFailException: no pipeline writes the table, or the condition is invalid
    :raises AirflowException: Kafka, the catalog or the warehouse is unavailable
    """
    pipeline = _pipeline_of(table)
    topic_id = TopicHook(pipeline.topic.name).topic_id()
    iceberg = IcebergCatalogHook()
    with (
        iceberg.answering(),
        tempfile.TemporaryDirectory(prefix="lakehouse-erase-") as folder,
        IcebergDatabase(Path(folder), MEMORY) as lake,
    ):
        tables = held_tables(pipeline)
        for name in tables:
            lake.view(_view(name), iceberg.table(name))
        positions = _with_corrections(_selected(lake, table, where), list(_corrections(lake, tables)))
        interrupted = log.interrupted(pipeline.name, topic_id)
        everything = _union((positions, *(found.positions for found in interrupted)))
        rows = {name: count for name in tables if (count := _count(lake, name, everything))}
    return Selection(pipeline, table, topic_id, positions, interrupted, everything, rows)


def held_tables(pipeline: Pipeline) -> list[str]:
    """The pipeline's existing tables, in the order of its stages, and the backups of them that a replay has kept."""
    names = [name for table in pipeline.sinks for name in (table, backup_of(table))]
    return list(filter(IcebergCatalogHook().exists, names))


def _pipeline_of(table: str) -> Pipeline:
    pipelines = declarations().pipelines.values()
    for pipeline in pipelines:
        if table in pipeline.sinks:
            return pipeline
    known = ", ".join(name for pipeline in pipelines for name in pipeline.sinks)
    raise AirflowFailException(f"No pipeline writes a table {table!r}. Next: choose one of {known}")


def _view(table: str) -> str:
    return f'"{table}"'


def _selected(lake: IcebergDatabase, table: str, where: str) -> Positions:
    """:raises AirflowFailException: the condition is invalid"""
    import duckdb

    query = f"SELECT {', '.join(POSITION)} FROM {_view(table)} WHERE ({where}\n)"
    try:
        return _union(Rows.of(batch).positions for batch in lake.connection.execute(query).to_arrow_reader())
    except duckdb.Error as error:
        raise AirflowFailException(
            f"The condition cannot be applied to {table}: {sql_problem(error)} Nothing was erased. Next: correct it, as in "
            "WHERE=\"trip_id = 'a1'\""
        ) from error


def _corrections(lake: IcebergDatabase, tables: Iterable[str]) -> Iterator[Positions]:
    """The positions of each correction, together with the event that it corrects."""
    for name in tables:
        columns = {row[0] for row in lake.connection.execute(f"DESCRIBE {_view(name)}").fetchall()}
        if MENDS not in columns:
            continue
        query = (
            f"SELECT {', '.join(POSITION)}, {MENDS} FROM {_view(name)} WHERE regexp_full_match({MENDS}, '\\d+:\\d+')"
        )
        for partition, offset, corrected in lake.connection.execute(query).fetchall():
            number, _, at = corrected.partition(":")
            yield Positions.of_offsets(partition, [offset]) | Positions.of_offsets(int(number), [int(at)])


def _with_corrections(positions: Positions, corrections: list[Positions]) -> Positions:
    """These positions and those of all related corrections, however often an event was corrected."""
    related = _union((positions, *(pair for pair in corrections if pair & positions)))
    return positions if related == positions else _with_corrections(related, corrections)


def _count(lake: IcebergDatabase, table: str, positions: Positions) -> int:
    """Number of a table's rows that belong to these events."""
    if not positions:
        return 0
    within = lake.keep_spans("spans", positions.spans())
    [[rows]] = lake.connection.execute(f"SELECT count(*) FROM {_view(table)} JOIN spans ON {within}").fetchall()
    return int(rows)


def _union(found: Iterable[Positions]) -> Positions:
    return reduce(Positions.__or__, found, Positions())
