"""Reconciles a stage: updates the stored state with the new commits of its tables and the new rows of its source."""

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
from lakehouse.reconciliation.empty_offsets import empty_offsets
from lakehouse.reconciliation.positions import Positions, Rows
from lakehouse.reconciliation.state import DATED_FOR_S, Cursor, State

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Reconciliation:
    """A stage's sinks compared with its source, as of the latest commits.

    :param tables: the sinks as they were read, by name
    """

    pipeline: Pipeline
    stage: Stage
    state: State
    tables: Mapping[str, Table]

    @property
    def missing(self) -> Positions:
        """Rows of the source that are not in any sink (yet)."""
        return self.state.missing

    @property
    def surplus(self) -> Positions:
        """Rows of the sinks that the source does not have, or that are in the sinks more than once."""
        return self.state.surplus

    @cached_property
    def source_rows(self) -> Mapping[int, int]:
        """Kafka partition -> number of rows of the source; for a topic, number of events."""
        if not self.stage.reads_topic:
            return self.state.rows.get(self.stage.source, {})
        empty = self.state.no_event.counts
        return {
            partition: end - self.state.starts.get(partition, 0) - empty.get(partition, 0)
            for partition, end in self.state.ends.items()
        }

    def rows(self, table: str) -> Mapping[int, int]:
        """Kafka partition -> number of rows of a sink."""
        return self.state.rows.get(table, {})

    @property
    def deleted_unread(self) -> Positions:
        """Events that Kafka deleted before they reached a sink."""
        return self.missing.below(self.state.oldest)

    @property
    def skipped(self) -> Positions:
        """Deleted events after the last row of the sinks: a job that continues from there would skip them."""
        return self.deleted_unread - self.overtaken(self.deleted_unread)

    def overtaken(self, positions: Positions) -> Positions:
        """Positions for which a sink has a later row of the same Kafka partition."""
        return positions.below(self.state.reached)

    def overdue(self, seconds: float) -> Positions:
        """Missing rows that have been in the source for longer than this (at most an hour)."""
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
    """Reconcile a stage now.

    :raises ServiceUnavailable: Kafka, the catalog or the warehouse is unavailable; the message says which
    :raises AirflowException: a table is missing, or the topic was recreated; the message says what to do
    """
    with IcebergCatalogHook().answering():
        return _reconcile(pipeline, stage)


def _reconcile(pipeline: Pipeline, stage: Stage) -> Reconciliation:
    iceberg = IcebergCatalogHook()
    # Sinks before their source: a row that arrives in between looks missing, but never surplus.
    sinks = {name: iceberg.lazy_table(name) for name in stage.sinks.values()}
    topic = TopicHook(pipeline.topic.name) if stage.reads_topic else None
    tables = sinks if topic else {stage.source: iceberg.lazy_table(stage.source), **sinks}
    before = states.load(stage)
    try:
        found = _update(before, pipeline, stage, tables, topic)
    except (HistoryLost, FileNotFoundError):
        found = _update(before and before.of_topic(), pipeline, stage, tables, topic)
    if found != before:
        states.save(stage, found)
    return Reconciliation(pipeline, stage, found, sinks)


def acknowledge_loss(pipeline: Pipeline, stage: Stage) -> Positions:
    """Record the events that Kafka deleted before they were read as lost; return them. Errors as in `reconcile`."""
    found = reconcile(pipeline, stage)
    lost = found.deleted_unread
    if lost:
        state = found.state.model_copy(update={"missing": found.missing - lost, "lost": found.state.lost | lost})
        states.save(stage, state)
    return lost


def _update(
    before: State | None, pipeline: Pipeline, stage: Stage, tables: Mapping[str, Table], topic: TopicHook | None
) -> State:
    """The updated state: first the new rows of the source, then those of the sinks, so that the difference stays small.

    :param tables: the source, if it is a table, then the sinks
    :raises HistoryLost: the commits of a table cannot be followed
    """
    state = before.model_copy(deep=True) if before else State()
    since_ms = int((time.time() - DATED_FOR_S) * 1000)
    state.dated = [(epoch_ms, found) for epoch_ms, found in state.dated if epoch_ms > since_ms]
    known = set(state.ends)
    if topic:
        _update_offsets(state, topic)
        _update_erased(state, pipeline)
    for name, table in tables.items():
        if state.tables:
            _read_changes(state, stage, name, table)
        else:
            _read_all(state, stage, name, table)
    state.tables = {name: _cursor(table) for name, table in tables.items()}
    if topic:
        _set_starts(state, state.ends.keys() - known)
        empty = empty_offsets(topic, state)
        state.missing -= empty
        state.no_event |= empty
    return state


def _read_changes(state: State, stage: Stage, name: str, table: Table) -> None:
    """Apply a table's new commits.

    :raises HistoryLost: they cannot be followed
    """
    known = state.tables.get(name)
    if known is None or known.uuid != str(table.metadata.table_uuid):
        raise HistoryLost
    for change in changes(table, known.snapshot_id):
        positions = _apply(state, stage, name, change.rows, change.added)
        if name == stage.source and change.added:
            state.dated.append((change.epoch_ms, positions))


def _read_all(state: State, stage: Stage, name: str, table: Table) -> None:
    """Apply all rows of a table. When they arrived in a source table is unknown, so the current time is used."""
    for batch in all_rows(table):
        positions = _apply(state, stage, name, batch, added=True)
        if name == stage.source:
            state.dated.append((int(time.time() * 1000), positions))


def _apply(state: State, stage: Stage, table: str, rows: pa.RecordBatch, added: bool) -> Positions:
    """Apply rows that were added to or removed from a table; return their positions."""
    found = Rows.of(rows)
    is_source = table == stage.source
    state.count(table, found.counts, 1 if added else -1)
    update = state.expect if added is is_source else state.arrive
    update(found.positions)
    update(found.repeated)
    if added and not is_source:
        state.reach(found.positions.ends)
    return found.positions


def _update_offsets(state: State, topic: TopicHook) -> None:
    """Apply the topic's new offsets.

    :raises HistoryLost: the topic ends before the known end, as after a restore: the tables have to be read completely
    :raises AirflowException: the topic was recreated
    """
    _require_same_topic(state, topic)
    ends, state.oldest = topic.end_offsets(), topic.start_offsets()
    if any(ends.get(partition, 0) < known for partition, known in state.ends.items()):
        if state.tables:
            raise HistoryLost
        state.missing = state.missing.below(ends)
    state.expect(Positions.ranges(state.ends, ends))
    state.ends = ends


def _update_erased(state: State, pipeline: Pipeline) -> None:
    """Apply new erasures. If an erased row comes back into a sink, it is surplus."""
    version = erasures.version()
    if version != state.erasures:
        erased = erasures.erased(pipeline.name, state.topic_id or "")
        state.missing -= erased
        state.erased, state.erasures = erased, version


def _set_starts(state: State, partitions: Collection[int]) -> None:
    """Set the start of new partitions: the first offset that a sink or Kafka has."""
    if not partitions:
        return
    arrived = (Positions.ranges({}, state.ends) - state.missing).firsts
    for partition in partitions:
        oldest = state.oldest[partition]
        state.starts[partition] = min(oldest, arrived.get(partition, oldest))
    state.missing -= Positions.ranges({}, state.starts)


def _require_same_topic(state: State, topic: TopicHook) -> None:
    """Fail if the topic was deleted and recreated."""
    found = topic.topic_id()
    if state.topic_id not in (None, found):
        raise AirflowException(
            f"Kafka topic {topic.topic} was deleted and recreated: it has other events at the offsets that the tables contain. "
            "Next: restore it, or rebuild the tables from its current events with the DAG replay"
        )
    state.topic_id = found


def _cursor(table: Table) -> Cursor:
    return Cursor(uuid=str(table.metadata.table_uuid), snapshot_id=snapshot_id(table))
