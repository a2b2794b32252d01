"""The audit itself: each layer against the one before it, at snapshots that stay the same while it runs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import Variable

from lakehouse.airflow.hooks.iceberg import row_count
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.gold.file import SILVER, published_file
from lakehouse.quality.audit.database import AuditDatabase
from lakehouse.quality.audit.describe import describe
from lakehouse.quality.audit.event_fields import FIELDS
from lakehouse.quality.audit.events import TopicReader
from lakehouse.quality.audit.report import KINDS, AuditReport, LayerReport
from lakehouse.quality.audit.scope import Scope, read_scope
from lakehouse.waiting import wait_until

if TYPE_CHECKING:
    from pyiceberg.table import Table

#: So many rows take some 250 MB while they are compared.
ROWS_AT_ONCE = 1_500_000
POSITION = "kafka_partition, kafka_offset"
TRIP_DIGEST = f"hash('raw_trips', {', '.join(FIELDS)})"
REJECTED_DIGEST = "hash('rejected_events', payload)"
#: Layer -> the tables that rows arrive in. Gold is built as a whole, from a version of Silver that it names.
HOLD = {
    "Bronze": ("raw_trips", "rejected_events"),
    "Silver": ("cleaned_trips", "rejected_trips", "duplicate_trips"),
}


def run_audit(
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
    """Compare every event with Bronze, every Bronze row with Silver, and every trip of Silver with the published Gold.

    :param partition: look at this Kafka partition alone
    :param first_offset: look at events from this offset on
    :param last_offset: look at events up to and including this offset
    :param since_ms: look at events since then (epoch milliseconds, by Kafka's timestamp)
    :param at_rest: nothing is under way any more, so that whatever has not arrived is missing
    :param settle_s: how long rows that have been overtaken by later ones may still take to arrive
    :param memory_limit: of DuckDB, which spills the rest to the temporary folder
    :param log: takes a line about each step
    :raises AirflowException: Kafka, the catalog or a table cannot be read
    """
    began = time.monotonic()
    topic = Variable.get("taxi_topic")
    with (
        tempfile.TemporaryDirectory(prefix="lakehouse-audit-") as folder,
        AuditDatabase(Path(folder), memory_limit) as database,
    ):
        hook = TopicHook(topic)
        bounds = read_scope(hook, partition, first_offset, last_offset, since_ms)
        # From the last layer to the first: what a layer holds, the one before it held already.
        gold = _pin_gold(database)
        tables = database.pin("pinned")
        database.narrow(bounds.predicate)
        scope = read_scope(hook, partition, first_offset, last_offset, since_ms) if bounds.whole else bounds
        reader = TopicReader(topic)
        try:
            _read_events(database, reader, scope, log)
            layers = [_bronze(database, scope), _silver(database, scope), _gold(database, scope, gold, tables[SILVER])]
            _leave_out_what_is_under_way(database, layers, at_rest, settle_s, log)
            for layer in layers:
                _conclude(database, layer)
                layer.findings = describe(database, layer.layer, reader, scope)
        finally:
            reader.close()
    return AuditReport(layers, round(time.monotonic() - began, 1))


def _read_events(database: AuditDatabase, reader: TopicReader, scope: Scope, log: Callable[[str], None]) -> None:
    """Keep of each event where it belongs and the digest of what it must be there."""
    database.connection.execute("CREATE TABLE events (kafka_partition INTEGER, kafka_offset BIGINT, digest UBIGINT)")
    insert = f"INSERT INTO events SELECT {POSITION}, CASE WHEN is_trip THEN {TRIP_DIGEST} ELSE {REJECTED_DIGEST} END FROM batch"
    for partition in scope.ranges:
        first, end = scope.events(partition)
        log(f"Partition {partition}: reading the events {first:,} to {end:,}")
        for batch in reader.batches(partition, first, end):
            database.connection.register("batch", batch)
            database.connection.execute(insert)


def _bronze(database: AuditDatabase, scope: Scope) -> LayerReport:
    database.run("bronze.sql", trip_digest=TRIP_DIGEST, rejected_digest=REJECTED_DIGEST, expired=scope.expired)
    report = LayerReport("Bronze", checked=database.value("SELECT count(*) FROM events"))
    _compare(database, report, POSITION)
    expired = sum(scope.events(partition)[0] - first for partition, (first, _) in scope.ranges.items())
    report.leave_out("Kafka no longer holds the event: its rows were compared from Bronze on", expired)
    return report


def _silver(database: AuditDatabase, scope: Scope) -> LayerReport:
    database.run("silver.sql", pickup_from=Variable.get("pickup_from"), pickup_to=Variable.get("pickup_to"))
    report = LayerReport("Silver", checked=database.value("SELECT count(*) FROM scoped.raw_trips"))
    _compare(database, report, POSITION)
    retention_us = database.value("SELECT epoch_us(CAST(? AS INTERVAL))", Variable.get("dedup_retention"))
    for bucket in _buckets(report.checked):
        database.run("duplicates.sql", retention_us=retention_us, in_scope=scope.predicate, **bucket)
    return report


def _compare(database: AuditDatabase, report: LayerReport, key: str) -> None:
    """Note each key whose rows are not those that the layer before it asks for."""
    views = {side: f"{report.layer.lower()}_{side}" for side in ("expected", "held")}
    database.run("digests.sql", key=key, **views)
    for bucket in _buckets(report.checked):
        database.run("compare.sql", layer=report.layer, key=key, **bucket)


def _buckets(rows: int) -> list[dict[str, int]]:
    """The parts in which so many rows are compared, each within the memory that there is."""
    buckets = 1 + rows // ROWS_AT_ONCE
    return [{"bucket": bucket, "buckets": buckets} for bucket in range(buckets)]


def _pin_gold(database: AuditDatabase) -> int | None:
    """Open the published file, which stays as it is when another takes its place; the Silver snapshot that it holds."""
    if not published_file().exists():
        return None
    database.connection.execute(f"ATTACH '{published_file()}' AS gold (READ_ONLY)")
    version = "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'gold' AND table_name = 'built_from'"
    return database.value("SELECT silver_snapshot_id FROM gold.built_from") if database.value(version) else None


def _gold(database: AuditDatabase, scope: Scope, snapshot_id: int | None, silver: Table) -> LayerReport:
    report = LayerReport("Gold")
    rows = row_count(silver)
    snapshot = silver.snapshot_by_id(snapshot_id) if snapshot_id else None
    if snapshot is None:
        why = (
            "its version of Silver has expired"
            if snapshot_id
            else "Gold is not published, or does not say its version of Silver"
        )
        report.leave_out(f"{why}: run nyc_taxi_pipeline", rows)
        return report
    database.view("pinned.cleaned_trips_of_gold", silver, snapshot_id)
    database.run("gold.sql", in_scope=scope.predicate, whole=scope.whole)
    report.checked = database.value("SELECT count(*) FROM gold_source")
    _compare(database, report, "trip_id")
    report.leave_out(
        "in Silver since Gold was built", database.value("SELECT count(*) FROM scoped.cleaned_trips") - report.checked
    )
    return report


def _leave_out_what_is_under_way(
    database: AuditDatabase, layers: list[LayerReport], at_rest: bool, settle_s: float, log: Callable[[str], None]
) -> None:
    """Take the rows that have not arrived yet for what they are.

    Rows arrive by offset. Those behind the last that arrived are on their way. Those that were overtaken may still come,
    because the tables of a layer are committed one after the other: they get some time.
    """
    if at_rest:
        return
    for layer in layers:
        if tables := HOLD.get(layer.layer):
            reached = f"SELECT max(kafka_offset) FROM ({_union(POSITION, 'pinned', tables)}) AS held"
            removed = _remove_missing(
                database,
                f"layer = '{layer.layer}' AND kafka_offset > coalesce("
                f"({reached} WHERE held.kafka_partition = findings.kafka_partition), -1)",
            )
            layer.checked -= removed
            layer.leave_out(f"not yet in {layer.layer} when the audit began", removed)

    seen: list[object] = []

    def all_arrived() -> bool:
        """Look again, whenever there is a new snapshot."""
        if not database.value("SELECT count(*) FROM findings WHERE kind = 'missing' AND layer <> 'Gold'"):
            return True
        tables = database.pin("later")
        snapshots = [table.metadata.current_snapshot_id for table in tables.values()]
        if snapshots != seen:
            seen[:] = snapshots
            for layer in layers:
                removed = _remove_missing(database, f"layer = '{layer.layer}' AND ({_arrived(layer.layer)})")
                layer.checked -= removed
                layer.leave_out("arrived while the audit ran", removed)
        return False

    log("Looking again for what has not arrived")
    try:
        wait_until(all_arrived, "rows that were overtaken to arrive", settle_s)
    except TimeoutError as error:
        log(str(error))


def _arrived(layer: str) -> str:
    """SQL: whether a row that was in no table is in one by now, or a trip whose rows were all duplicates has its own."""
    if layer not in HOLD:
        return "false"
    of_trip = " OR trip_id IN (SELECT trip_id FROM later.cleaned_trips)" if layer == "Silver" else ""
    return f"held = 0 AND ({POSITION}) IN ({_union(f'({POSITION})', 'later', HOLD[layer])}){of_trip}"


def _union(columns: str, schema: str, tables: tuple[str, ...]) -> str:
    return " UNION ALL ".join(f"SELECT {columns} FROM {schema}.{table}" for table in tables)


def _remove_missing(database: AuditDatabase, condition: str) -> int:
    return database.value(f"DELETE FROM findings WHERE kind = 'missing' AND {condition}")


def _conclude(database: AuditDatabase, layer: LayerReport) -> None:
    counts = database.rows(
        "SELECT kind, sum(surplus)::BIGINT AS rows FROM findings WHERE layer = ? GROUP BY kind", layer.layer
    )
    for row in counts:
        assert row["kind"] in KINDS
        setattr(layer, row["kind"], row["rows"])
