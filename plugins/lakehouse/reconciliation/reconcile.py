"""A look at a stage: its tables' new commits and its source's new rows, taken into what is known."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.erasure import log as erasures
from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.reconciliation import state as states
from lakehouse.reconciliation.changes import HistoryLost, all_rows, changes, snapshot_id
from lakehouse.reconciliation.no_event import without_event
from lakehouse.reconciliation.positions import Positions, Rows
from lakehouse.reconciliation.state import DATED_FOR_S, Cursor, State

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Reconciliation:
    """A stage's source and sinks, compared at the newest commits.

    :param tables: the sinks as they were read, by name
    """

    pipeline: Pipeline
    stage: Stage
    state: State
    tables: Mapping[str, Table]

    @property
    def missing(self) -> Positions:
        """Rows of the source that are in no sink (yet)."""
        return self.state.missing

    @property
    def surplus(self) -> Positions:
        """Rows of the sinks that the source does not have, or that are there twice."""
        return self.state.surplus

    @cached_property
    def source_rows(self) -> Mapping[int, int]:
        """Kafka partition -> rows of the source; of a topic, its events."""
        if not self.stage.reads_topic:
            return self.state.rows.get(self.stage.source, {})
        empty = self.state.no_event.counts
        return {
            partition: end - self.state.starts.get(partition, 0) - empty.get(partition, 0)
            for partition, end in self.state.ends.items()
        }

    def rows(self, table: str) -> Mapping[int, int]:
        """Kafka partition -> rows of a sink."""
        return self.state.rows.get(table, {})

    @property
    def deleted_unread(self) -> Positions:
        """Events that Kafka deleted before they were in a sink."""
        return self.missing.below(self.state.oldest)

    @property
    def passed_over(self) -> Positions:
        """Those of them after the last row of the sinks: a job that goes on from there does so at what Kafka still holds."""
        return self.deleted_unread - self.overtaken(self.deleted_unread)

    def overtaken(self, positions: Positions) -> Positions:
        """Those of them for which a sink holds a later row of the same Kafka partition."""
        return positions.below(self.state.reached)

    def overdue(self, seconds: float) -> Positions:
        """Those of the missing rows that have been in the source for longer than that, at most an hour."""
        since_ms = int((time.time() - seconds) * 1000)
        if self.stage.reads_topic:
            if not self.missing:
                return self.missing
            return self.missing.below(TopicHook(self.pipeline.topic.name).offsets_at(since_ms))
        found = self.missing
        for epoch_ms, positions in self.state.dated:
            if epoch_ms > since_ms:
                found -= positions
        return found


def reconcile(pipeline: Pipeline, stage: Stage) -> Reconciliation:
    """Look at a stage now.

    :raises ServiceUnavailable: Kafka, the catalog or the warehouse cannot be asked; the message says which
    :raises AirflowException: a table is missing, or the topic is another one than before; the message says what to do
    """
    with IcebergCatalogHook().answering():
        return _reconcile(pipeline, stage)


def _reconcile(pipeline: Pipeline, stage: Stage) -> Reconciliation:
    iceberg = IcebergCatalogHook()
    # The sinks before their source: a row that moves on meanwhile looks as if it had not arrived, never as one too many.
    sinks = {name: iceberg.glance(name) for name in stage.tables}
    topic = TopicHook(pipeline.topic.name) if stage.reads_topic else None
    tables = sinks if topic else {stage.source: iceberg.glance(stage.source), **sinks}
    before = states.load(stage)
    try:
        found = _look(before, pipeline, stage, tables, topic)
    except (HistoryLost, FileNotFoundError):
        found = _look(before and before.of_topic(), pipeline, stage, tables, topic)
    if found != before:
        states.save(stage, found)
    return Reconciliation(pipeline, stage, found, sinks)


def acknowledge_loss(pipeline: Pipeline, stage: Stage) -> Positions:
    """Take the events that Kafka deleted before they were read for lost; which ones. Errors as of `reconcile`."""
    found = reconcile(pipeline, stage)
    lost = found.deleted_unread
    if lost:
        state = found.state.model_copy(update={"missing": found.missing - lost, "lost": found.state.lost | lost})
        states.save(stage, state)
    return lost


def _look(
    before: State | None, pipeline: Pipeline, stage: Stage, tables: Mapping[str, Table], topic: TopicHook | None
) -> State:
    """What is known now: the source's new rows, then those of the sinks, so that the difference stays small.

    :param tables: the source, when it is a table, then the sinks
    :raises HistoryLost: a table cannot be followed from where it was known
    """
    state = before.model_copy(deep=True) if before else State()
    since_ms = int((time.time() - DATED_FOR_S) * 1000)
    state.dated = [(epoch_ms, found) for epoch_ms, found in state.dated if epoch_ms > since_ms]
    known = set(state.ends)
    if topic:
        _take_offsets(state, topic)
        _take_erased(state, pipeline)
    for name, table in tables.items():
        if state.tables:
            _take_changes(state, stage, name, table)
        else:
            _take_all(state, stage, name, table)
    state.tables = {name: _cursor(table) for name, table in tables.items()}
    if topic:
        _begin_partitions(state, state.ends.keys() - known)
        empty = without_event(topic, state)
        state.missing -= empty
        state.no_event |= empty
    return state


def _take_changes(state: State, stage: Stage, name: str, table: Table) -> None:
    """A table's commits since it was known.

    :raises HistoryLost: they cannot be followed
    """
    known = state.tables.get(name)
    if known is None or known.uuid != str(table.metadata.table_uuid):
        raise HistoryLost
    for change in changes(table, known.snapshot_id):
        positions = _take(state, stage, name, change.rows, change.added)
        if name == stage.source and change.added:
            state.dated.append((change.epoch_ms, positions))


def _take_all(state: State, stage: Stage, name: str, table: Table) -> None:
    """Every row of a table. Since when a source table holds it is not known: since now."""
    for batch in all_rows(table):
        positions = _take(state, stage, name, batch, added=True)
        if name == stage.source:
            state.dated.append((int(time.time() * 1000), positions))


def _take(state: State, stage: Stage, table: str, rows: pa.RecordBatch, added: bool) -> Positions:
    """Take rows into account that a table gained or lost; returns their positions."""
    found = Rows.of(rows)
    is_source = table == stage.source
    state.count(table, found.counts, 1 if added else -1)
    note = state.expect if added is is_source else state.arrive
    note(found.positions)
    note(found.repeated)
    if added and not is_source:
        state.reach(found.positions.ends)
    return found.positions


def _take_offsets(state: State, topic: TopicHook) -> None:
    """The topic's new offsets.

    :raises HistoryLost: the topic ends before what was known of it, as after a restore: the tables say what is there
    :raises AirflowException: it is another topic than before
    """
    _refuse_another_topic(state, topic)
    ends, state.oldest = topic.end_offsets(), topic.start_offsets()
    if any(ends.get(partition, 0) < known for partition, known in state.ends.items()):
        if state.tables:
            raise HistoryLost
        state.missing = state.missing.below(ends)
    state.expect(Positions.ranges(state.ends, ends))
    state.ends = ends


def _take_erased(state: State, pipeline: Pipeline) -> None:
    """The events that were erased since the last look. One that comes back into a sink is a surplus row from then on."""
    version = erasures.version()
    if version != state.erasures:
        erased = erasures.erased(pipeline.name, state.topic_id or "")
        state.missing -= erased
        state.erased, state.erasures = erased, version


def _begin_partitions(state: State, partitions: Collection[int]) -> None:
    """Where partitions that were not known begin: at the first offset that a sink or Kafka holds."""
    if not partitions:
        return
    arrived = (Positions.ranges({}, state.ends) - state.missing).firsts
    for partition in partitions:
        oldest = state.oldest[partition]
        state.starts[partition] = min(oldest, arrived.get(partition, oldest))
    state.missing -= Positions.ranges({}, state.starts)


def _refuse_another_topic(state: State, topic: TopicHook) -> None:
    """Refuse a topic that was deleted and made again."""
    found = topic.topic_id()
    if state.topic_id not in (None, found):
        raise AirflowException(
            f"Kafka topic {topic.topic} was deleted and made again: it has other events at the offsets that the tables know. "
            "Next: restore it; or rebuild the tables from what it holds now, with the DAG replay"
        )
    state.topic_id = found


def _cursor(table: Table) -> Cursor:
    return Cursor(uuid=str(table.metadata.table_uuid), snapshot_id=snapshot_id(table))
