"""The row ledger: each row of a stage's source is in exactly one of its sinks, down to Gold's fact.

Counts come from Kafka's offsets and from Iceberg's metadata, so that the ledger reads no row, however many there are. A stage
that reads the topic is counted by Kafka partition, so that rows that one partition lacks never hide duplicates of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count, rows_by_partition
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.model import TOPIC, Pipeline, Stage

if TYPE_CHECKING:
    from pyiceberg.table import Table

POSITION = "kafka_partition"


@dataclass(frozen=True)
class PartitionLedger:
    """What became of the events of one Kafka partition.

    :param source: events ever written to it: its end offset, because its first offset ever is 0, whatever was deleted since
    :param rows: role -> rows of that sink
    """

    source: int
    rows: Mapping[str, int]

    @property
    def in_flight(self) -> int:
        """Events that are in no sink yet; below zero: duplicates."""
        return self.source - sum(self.rows.values())


@dataclass(frozen=True)
class StageLedger:
    """What became of the rows of a stage's source.

    :param rows: role -> rows of that sink
    :param partitions: of a stage that reads the topic, by Kafka partition; empty where the sinks do not tell partitions apart
    :param topic: name of the pipeline's topic
    """

    stage: Stage
    source_rows: int
    rows: Mapping[str, int]
    partitions: Mapping[int, PartitionLedger] = field(default_factory=dict)
    topic: str = TOPIC

    @property
    def source(self) -> str:
        """The topic or table that it reads."""
        return self.topic if self.stage.reads_topic else self.stage.source

    @property
    def in_flight(self) -> int:
        """Rows that are in no sink yet, less duplicates."""
        return self.source_rows - sum(self.rows.values())

    @property
    def balanced(self) -> bool:
        """Every row of the source is in exactly one sink."""
        return not any([self.in_flight, *(partition.in_flight for partition in self.partitions.values())])

    @property
    def errors(self) -> list[str]:
        """What no row in flight can explain."""
        if self.partitions:
            return [
                f"{self.stage.job} holds {_more(-found.in_flight)} than partition {number} of {self.source} has events"
                for number, found in self.partitions.items()
                if found.in_flight < 0
            ]
        return [f"{self.stage.job} holds {_more(-self.in_flight)} than {self.source}"] if self.in_flight < 0 else []


@dataclass(frozen=True)
class Ledger:
    """Every row of a pipeline, stage by stage.

    :param fact_rows: rows of Gold's fact; None before the first publication, or when they were not counted
    """

    pipeline: Pipeline
    stages: tuple[StageLedger, ...]
    fact_rows: int | None = None

    def __getitem__(self, name: str) -> StageLedger:
        """A stage by its name."""
        return self._by_name[name]

    def rows(self, table: str) -> int:
        """Rows of a table that one of the stages writes."""
        stage = self.pipeline.writer(table)
        return next(self[stage.name].rows[role] for role, sink in stage.sinks.items() if sink == table)

    @property
    def events(self) -> int:
        """Events ever written to the topic."""
        return next(stage.source_rows for stage in self.stages if stage.stage.reads_topic)

    @property
    def balanced(self) -> bool:
        """Every event is in exactly one table, and every row that Gold reads is in its fact."""
        return all(stage.balanced for stage in self.stages) and not self._missing_in_gold

    @property
    def errors(self) -> list[str]:
        """What no row in flight can explain."""
        found = [error for stage in self.stages for error in stage.errors]
        gold = self.pipeline.gold
        if gold and self._missing_in_gold < 0:
            found.append(
                f"{gold.fact} of {self.pipeline.name} holds {_more(-self._missing_in_gold)} than {gold.source}"
            )
        return found

    @property
    def verdict(self) -> str:
        """balanced, the errors, or that rows are in flight."""
        return "balanced" if self.balanced else "; ".join(self.errors) or "rows in flight"

    def as_dict(self) -> dict[str, Any]:
        """Nothing but what JSON knows."""
        return {
            "pipeline": self.pipeline.name,
            "events": self.events,
            "stages": {found.stage.name: _as_dict(found) for found in self.stages},
            "fact_rows": self.fact_rows,
            "balanced": self.balanced,
            "errors": self.errors,
        }

    def __str__(self) -> str:
        tables = [_table(found) for found in self.stages]
        if gold := self.pipeline.gold:
            fact: list[Any] = ["-", "-"] if self.fact_rows is None else [self.fact_rows, self._missing_in_gold]
            tables.append(
                _aligned(["gold", gold.source, gold.fact, "in flight"], [["all", self.rows(gold.source), *fact]])
            )
        return "\n\n".join([*tables, f"ledger: {self.verdict}"])

    @cached_property
    def _by_name(self) -> dict[str, StageLedger]:
        return {found.stage.name: found for found in self.stages}

    @property
    def _missing_in_gold(self) -> int:
        """Rows that Gold reads and its fact lacks; below zero: duplicates."""
        gold = self.pipeline.gold
        return self.rows(gold.source) - self.fact_rows if gold and self.fact_rows is not None else 0


def read_ledger(pipeline: Pipeline, fact_rows: int | None = None) -> Ledger:
    """Count what each place holds at its newest commit.

    :param fact_rows: rows of Gold's fact, counted before
    :raises AirflowException: Kafka or the catalog cannot be read; the message says which and what to do
    """
    # From the last table to the topic: a row that moves on meanwhile looks as if it had not arrived, never duplicated.
    counts = {name: _count(IcebergCatalogHook().table(name)) for name in reversed(pipeline.tables)}
    ends = TopicHook(pipeline.topic.name).end_offsets()
    stages = tuple(_read_stage(pipeline, stage, counts, ends) for stage in pipeline.stages.values())
    return Ledger(pipeline, stages, fact_rows)


@dataclass(frozen=True)
class _Count:
    """Rows of a table, and of each Kafka partition where its files tell them apart."""

    rows: int
    by_partition: Mapping[int, int] | None


def _count(table: Table) -> _Count:
    if [column.name for column in table.spec().fields] != [POSITION]:
        return _Count(row_count(table), None)
    found = rows_by_partition(table, POSITION)
    # Files from before the table was partitioned do not say.
    return _Count(row_count(table), None if None in found else found)


def _read_stage(pipeline: Pipeline, stage: Stage, counts: Mapping[str, _Count], ends: Mapping[int, int]) -> StageLedger:
    sinks = {role: counts[table] for role, table in stage.sinks.items()}
    rows = {role: sink.rows for role, sink in sinks.items()}
    if not stage.reads_topic:
        return StageLedger(stage, counts[stage.source].rows, rows)
    partitions = {}
    by_role = {role: sink.by_partition for role, sink in sinks.items() if sink.by_partition is not None}
    if len(by_role) == len(sinks):
        partitions = {
            number: PartitionLedger(
                ends.get(number, 0), {role: found.get(number, 0) for role, found in by_role.items()}
            )
            for number in sorted({*ends, *(number for found in by_role.values() for number in found)})
        }
    return StageLedger(stage, sum(ends.values()), rows, partitions, pipeline.topic.name)


def _more(rows: int) -> str:
    return f"{rows:,} row{'s' if rows != 1 else ''} more"


def _table(found: StageLedger) -> str:
    def line(name: Any, source: int, rows: Mapping[str, int], in_flight: int) -> list[Any]:
        return [str(name), source, *(rows[role] for role in found.stage.sinks), in_flight]

    lines = [line(number, row.source, row.rows, row.in_flight) for number, row in found.partitions.items()]
    total = line("all", found.source_rows, found.rows, found.in_flight)
    return _aligned([found.stage.job, found.source, *found.stage.tables, "in flight"], [*lines, total])


def _aligned(titles: list[str], lines: Iterable[list[Any]]) -> str:
    from tabulate import tabulate

    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in line] for line in lines]
    places = ["left", *["right"] * (len(titles) - 1)]
    return tabulate(cells, titles, tablefmt="plain", colalign=places, disable_numparse=True)


def _as_dict(found: StageLedger) -> dict[str, Any]:
    partitions = {
        str(number): {"source_rows": row.source, "rows": dict(row.rows), "in_flight": row.in_flight}
        for number, row in found.partitions.items()
    }
    return {
        "source": found.source,
        "source_rows": found.source_rows,
        "rows": dict(found.rows),
        "in_flight": found.in_flight,
        "partitions": partitions,
    }
