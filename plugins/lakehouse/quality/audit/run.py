"""Runs an audit: compares each layer with its source, at snapshots that are pinned when it starts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.erasure import log as erasures
from lakehouse.pipelines.model import Pipeline
from lakehouse.quality.audit.database import PINNED, AuditDatabase
from lakehouse.quality.audit.describe import describe
from lakehouse.quality.audit.earlier_rules import leave_out_rows_of_earlier_rules
from lakehouse.quality.audit.erased import leave_out_what_was_erased
from lakehouse.quality.audit.event_fields import EventFields
from lakehouse.quality.audit.events import EventReader, table_of
from lakehouse.quality.audit.fact import fact_layer, open_gold
from lakehouse.quality.audit.in_flight import leave_out_what_is_in_flight
from lakehouse.quality.audit.layer import compare, conclude
from lakehouse.quality.audit.report import AuditReport
from lakehouse.quality.audit.scope import read_scope
from lakehouse.quality.audit.stage import BATCH, read_events, stage_layer, take_expired


def run_audit(
    pipeline: Pipeline,
    *,
    partition: int | None = None,
    first_offset: int | None = None,
    last_offset: int | None = None,
    since_ms: int | None = None,
    at_rest: bool = False,
    settle_s: float = 30,
    memory_limit: str = "1GB",
    log: Callable[[str], None] = lambda line: None,
) -> AuditReport:
    """Compare the events with each stage in turn, and Gold's source with the published fact.

    :param partition: only this Kafka partition
    :param first_offset: only events from this offset on
    :param last_offset: only events up to and including this offset
    :param since_ms: only events since then (epoch milliseconds, by Kafka's timestamp)
    :param at_rest: no rows are in flight, so that whatever has not arrived is missing
    :param settle_s: how long to wait for rows that later ones have overtaken
    :param memory_limit: of DuckDB, which spills the rest to the temporary folder
    :param log: called with a line about each step
    :raises AirflowException: Kafka, the catalog or a table cannot be read, or rules cannot be run
    """
    began = time.monotonic()
    topic, names = TopicHook(pipeline.topic.name), pipeline.contract.names
    bounds = (partition, first_offset, last_offset, since_ms)
    with (
        tempfile.TemporaryDirectory(prefix="lakehouse-audit-") as folder,
        AuditDatabase(Path(folder), memory_limit) as database,
    ):
        initial = read_scope(topic, *bounds)
        # From the last layer to the first, so that each row of a layer is also in the snapshot of its source.
        built_from = open_gold(database, pipeline) if pipeline.gold else None
        with erasures.erasing(pipeline.name):  # otherwise a row could be erased from some of the tables only
            erased = erasures.erased(pipeline.name, topic.topic_id())
            tables = database.pin(PINNED, reversed(pipeline.sinks))
        database.narrow(pipeline.sinks, initial.predicate)
        scope = read_scope(topic, *bounds) if initial.whole else initial
        reader = EventReader(pipeline.topic.name, names)
        try:
            database.connection.register(BATCH, table_of(0, [], EventFields(names)))
            stages = [stage_layer(database, pipeline, stage) for stage in pipeline.stages.values()]
            readers = [layer for layer in stages if layer.stage and layer.stage.reads_topic]
            for number in scope.ranges:
                first, end = scope.events(number)
                log(f"Partition {number}: reading the events {first:,} to {end:,}")
                read_events(database, reader, scope, readers, number)
            for layer in readers:
                leave_out_what_was_erased(database, layer, erased)
                take_expired(database, layer, scope)
            layers = list(stages)
            if pipeline.gold:
                layers.append(fact_layer(database, pipeline, scope, built_from, tables[pipeline.gold.source]))
            for layer in layers:
                compare(database, layer, scope)
            for layer in stages:
                leave_out_rows_of_earlier_rules(database, pipeline, layer)
            if not at_rest:
                leave_out_what_is_in_flight(database, pipeline, stages, settle_s, log)
            for layer in layers:
                conclude(database, layer)
                layer.report.findings = describe(database, layer, reader, scope)
        finally:
            reader.close()
    return AuditReport([layer.report for layer in layers], round(time.monotonic() - began, 1))
