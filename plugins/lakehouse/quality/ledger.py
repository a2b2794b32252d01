"""The row ledger: each row of a stage's source is in exactly one of its sinks, down to Gold's fact.

Rows are identified by their position in the topic in every stage, so that missing rows never hide duplicates of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lakehouse.pipelines.model import TOPIC, Pipeline, Stage
from lakehouse.quality.windows import WindowLedger, read_windows
from lakehouse.reconciliation.reconcile import Reconciliation
from lakehouse.streaming.flow import Flow


@dataclass(frozen=True)
class PartitionLedger:
    """Numbers of a stage's rows in one Kafka partition.

    :param source: rows of the source; for the topic, events ever written to it
    :param rows: role -> rows of that sink
    :param in_flight: rows of the source that are in no sink yet
    :param surplus: rows of the sinks that the source does not have, or that are there more than once
    :param lost: events that Kafka deleted before they were read, and whose loss was acknowledged
    :param erased: events whose rows were erased on request
    """

    source: int
    rows: Mapping[str, int]
    in_flight: int = 0
    surplus: int = 0
    lost: int = 0
    erased: int = 0


@dataclass(frozen=True)
class StageLedger:
    """Numbers of a stage's rows by Kafka partition.

    :param topic: name of the pipeline's topic
    :param surplus_at: positions of the surplus rows, as text
    :param windows: numbers of its rows by window of event time, if it has any
    """

    stage: Stage
    partitions: Mapping[int, PartitionLedger]
    topic: str = TOPIC
    surplus_at: str = ""
    windows: WindowLedger | None = None

    @property
    def source(self) -> str:
        """The topic or table that it reads."""
        return self.topic if self.stage.reads_topic else self.stage.source

    @property
    def source_rows(self) -> int:
        return sum(found.source for found in self.partitions.values())

    @property
    def rows(self) -> dict[str, int]:
        """Role -> number of rows of that sink."""
        return {role: sum(found.rows.get(role, 0) for found in self.partitions.values()) for role in self.stage.sinks}

    @property
    def in_flight(self) -> int:
        """Number of rows of the source that are in no sink yet."""
        return sum(found.in_flight for found in self.partitions.values())

    @property
    def surplus(self) -> int:
        """Number of rows of the sinks that the source does not have, or that are there more than once."""
        return sum(found.surplus for found in self.partitions.values())

    @property
    def lost(self) -> int:
        """Number of events that Kafka deleted before they were read, and whose loss was acknowledged."""
        return sum(found.lost for found in self.partitions.values())

    @property
    def erased(self) -> int:
        """Number of events whose rows were erased on request."""
        return sum(found.erased for found in self.partitions.values())

    @property
    def balanced(self) -> bool:
        """Whether every row of the source is in exactly one sink, acknowledged as lost, or erased, and in a window if counted."""
        return not self.in_flight and not self.surplus and not self._outside_windows

    @property
    def errors(self) -> list[str]:
        """Differences that rows in flight cannot explain."""
        found = []
        if self.surplus:
            found.append(f"{self.stage.job} has {_more(self.surplus)} than {self.source} ({self.surplus_at})")
        if self.windows and self._outside_windows:
            found.append(
                f"{self.stage.job} counted {self.windows.counted:,} rows in windows, but {self.windows.closed:,} are in closed "
                f"ones and {self.windows.open:,} in open ones"
            )
        return found

    @property
    def _outside_windows(self) -> int:
        return self.windows.difference if self.windows else 0


@dataclass(frozen=True)
class Ledger:
    """Every row of a pipeline, stage by stage.

    :param fact_rows: rows of Gold's fact; None before the first publication, or if they were not counted
    :param late_duplicates: rows that are not in the fact because their key had arrived before
    :param built_from_rows: rows that Gold's source had when this Gold was built; None if unknown
    """

    pipeline: Pipeline
    stages: tuple[StageLedger, ...]
    fact_rows: int | None = None
    late_duplicates: int = 0
    built_from_rows: int | None = None

    def __getitem__(self, name: str) -> StageLedger:
        """A stage by its name."""
        return self._by_name[name]

    def rows(self, table: str) -> int:
        """Number of rows of a table that one of the stages writes."""
        stage = self.pipeline.writer(table)
        return next(self[stage.name].rows[role] for role, sink in stage.sinks.items() if sink == table)

    @property
    def events(self) -> int:
        """Events ever written to the topic."""
        return next(stage.source_rows for stage in self.stages if stage.stage.reads_topic)

    @property
    def balanced(self) -> bool:
        """Whether every event is in exactly one table, and every row that Gold reads is in its fact or a late duplicate."""
        return all(stage.balanced for stage in self.stages) and not self._missing_in_gold

    @property
    def errors(self) -> list[str]:
        """Differences that rows in flight cannot explain."""
        found = [error for stage in self.stages for error in stage.errors]
        gold = self.pipeline.gold
        if gold and (rows := self._missing_in_gold) < 0 and not self._is_behind:
            found.append(f"{gold.fact} of {self.pipeline.name} has {_more(-rows)} than {gold.source}")
        return found

    @property
    def verdict(self) -> str:
        """`balanced`, the errors, or `rows in flight`."""
        if self.balanced or self.errors:
            return "; ".join(self.errors) or "balanced"
        deleted = max(0, -self._missing_in_gold)
        return "rows in flight" + (f"; Gold contains {deleted:,} deleted rows until its next run" if deleted else "")

    def as_dict(self) -> dict[str, Any]:
        """The ledger as JSON-compatible data."""
        return {
            "pipeline": self.pipeline.name,
            "events": self.events,
            "stages": {found.stage.name: _as_dict(found) for found in self.stages},
            "fact_rows": self.fact_rows,
            "late_duplicates": self.late_duplicates,
            "balanced": self.balanced,
            "errors": self.errors,
        }

    def __str__(self) -> str:
        tables = []
        for stage in self.stages:
            tables.append(_table(stage))
            if stage.windows:
                tables.append(_windows_table(stage.stage, stage.windows))
        if gold := self.pipeline.gold:
            titles = ["gold", gold.source, gold.fact, "late duplicates", "in flight"]
            counts: list[Any] = [self.fact_rows, self.late_duplicates, self._missing_in_gold]
            counts = ["-"] * 3 if self.fact_rows is None else counts
            tables.append(_aligned(titles, [["all", self.rows(gold.source), *counts]]))
        return "\n\n".join([*tables, f"ledger: {self.verdict}"])

    @cached_property
    def _by_name(self) -> dict[str, StageLedger]:
        return {found.stage.name: found for found in self.stages}

    @property
    def _missing_in_gold(self) -> int:
        """Number of rows of Gold's source that Gold does not account for; negative: duplicates."""
        gold = self.pipeline.gold
        if gold is None or self.fact_rows is None:
            return 0
        return self.rows(gold.source) - self.fact_rows - self.late_duplicates

    @property
    def _is_behind(self) -> bool:
        """Whether Gold matches its source as of the build, so that rows were deleted since."""
        return self.built_from_rows is not None and (self.fact_rows or 0) + self.late_duplicates == self.built_from_rows


def read_ledger(
    pipeline: Pipeline,
    fact_rows: int | None = None,
    late_duplicates: int = 0,
    built_from_rows: int | None = None,
    stages: Iterable[Stage] | None = None,
) -> Ledger:
    """Compare each stage's source with its sinks at their latest commits.

    :param fact_rows: rows of Gold's fact, counted by the caller
    :param late_duplicates: rows that are not in the fact, counted by the caller
    :param built_from_rows: rows that its source had when Gold was built
    :param stages: the stages to compare; None: all
    :raises AirflowException: Kafka or the catalog cannot be read; the message says which and what to do
    """
    found: list[StageLedger] = []
    for stage in pipeline.stages.values() if stages is None else stages:
        one = stage_ledger(Flow(pipeline, stage).reconcile())
        erased = one.erased + sum(earlier.erased for earlier in found)
        found.append(replace(one, windows=read_windows(stage, erased)))
    return Ledger(pipeline, tuple(found), fact_rows, late_duplicates, built_from_rows)


def stage_ledger(found: Reconciliation) -> StageLedger:
    """The counts of a reconciliation."""
    sinks = {role: found.rows(table) for role, table in found.stage.sinks.items()}
    missing, surplus = found.missing.counts, found.surplus.counts
    lost, erased = found.state.lost.counts, found.state.erased.counts
    partitions = {
        number: PartitionLedger(
            found.source_rows.get(number, 0),
            {role: rows.get(number, 0) for role, rows in sinks.items()},
            missing.get(number, 0),
            surplus.get(number, 0),
            lost.get(number, 0),
            erased.get(number, 0),
        )
        for number in sorted({*found.source_rows, *(number for rows in sinks.values() for number in rows)})
    }
    return StageLedger(found.stage, partitions, found.pipeline.topic.name, str(found.surplus))


def _more(rows: int) -> str:
    return f"{rows:,} row{'s' if rows != 1 else ''} more"


def _table(found: StageLedger) -> str:
    apart = [name for name in ("lost", "erased") if getattr(found, name)]

    def line(name: object, of: PartitionLedger | StageLedger, source: int) -> list[Any]:
        rows = (of.rows.get(role, 0) for role in found.stage.sinks)
        return [str(name), source, *rows, *(getattr(of, column) for column in apart), of.in_flight]

    lines = [line(number, row, row.source) for number, row in found.partitions.items()]
    titles = [found.stage.job, found.source, *found.stage.sinks.values(), *apart, "in flight"]
    return _aligned(titles, [*lines, line("all", found, found.source_rows)])


def _windows_table(stage: Stage, found: WindowLedger) -> str:
    assert stage.event_time
    titles = ["windows", stage.sinks[stage.event_time.counted], "in closed windows", "in open windows", "closed until"]
    until = f"{found.closed_until:%Y-%m-%d %H:%M:%S}" if found.closed_until else "-"
    return _aligned(titles, [["all", found.counted, found.closed, found.open, until]])


def _aligned(titles: list[str], lines: Iterable[list[Any]]) -> str:
    from tabulate import tabulate

    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in line] for line in lines]
    places = ["left", *["right"] * (len(titles) - 1)]
    return tabulate(cells, titles, tablefmt="plain", colalign=places, disable_numparse=True)


def _as_dict(found: StageLedger) -> dict[str, Any]:
    partitions = {
        str(number): {
            "source_rows": row.source,
            "rows": dict(row.rows),
            "in_flight": row.in_flight,
            "surplus": row.surplus,
            "lost": row.lost,
            "erased": row.erased,
        }
        for number, row in found.partitions.items()
    }
    return {
        "source": found.source,
        "source_rows": found.source_rows,
        "rows": dict(found.rows),
        "in_flight": found.in_flight,
        "surplus": found.surplus,
        "lost": found.lost,
        "erased": found.erased,
        "partitions": partitions,
        "windows": found.windows.as_dict() if found.windows else None,
    }
