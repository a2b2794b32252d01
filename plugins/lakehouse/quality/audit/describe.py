"""The first findings of each kind in words: where the row is, and what differs."""

from __future__ import annotations

from typing import Any

from lakehouse.quality.audit.database import AuditDatabase
from lakehouse.quality.audit.event_fields import FIELDS
from lakehouse.quality.audit.events import TopicReader
from lakehouse.quality.audit.report import SHOWN, Finding
from lakehouse.quality.audit.scope import Scope

LONGEST = 200
#: Where the rows of a layer are, the most telling first.
HELD = {
    "Bronze": ("pinned.raw_trips", "pinned.rejected_events"),
    "Silver": ("pinned.cleaned_trips", "pinned.rejected_trips", "pinned.duplicate_trips"),
    "Gold": ("gold.fct_trips",),
}
KEY = {"Bronze": "kafka_partition, kafka_offset", "Silver": "kafka_partition, kafka_offset", "Gold": "trip_id"}
# When a row was written is no value of the event; what only one side has is not compared.
NO_VALUES = {"ingested_at", "processed_at"}


def describe(database: AuditDatabase, layer: str, reader: TopicReader, scope: Scope) -> list[Finding]:
    """The first findings of each kind of this layer."""
    shown = database.rows(
        "FROM findings WHERE layer = ? QUALIFY row_number() OVER (PARTITION BY kind ORDER BY kafka_partition, kafka_offset,"
        " trip_id) <= ? ORDER BY kind, kafka_partition, kafka_offset, trip_id",
        layer,
        SHOWN,
    )
    if not shown:
        return []
    database.connection.execute(
        "CREATE OR REPLACE TABLE shown AS SELECT UNNEST($rows, recursive := true)",
        {"rows": [{name: row[name] for name in ("kafka_partition", "kafka_offset", "trip_id")} for row in shown]},
    )
    keys = KEY[layer].split(", ")
    held = {table: _by_key(database, table, keys) for table in HELD[layer]}
    if layer == "Bronze":
        expected = _events(reader, scope, shown)
    else:
        expected = _by_key(database, {"Silver": "silver_typed", "Gold": "gold_source"}[layer], keys)
    found = []
    for row in shown:
        key = tuple(row[name] for name in keys)
        rows = [(table.split(".")[1], copy) for table, copies in held.items() for copy in copies.get(key, [])]
        found.append(Finding(row["kind"], _place(row), _words(row, (expected.get(key) or [None])[0], rows)[:LONGEST]))
    return found


def _by_key(database: AuditDatabase, table: str, keys: list[str]) -> dict[tuple, list[dict[str, Any]]]:
    by_key: dict[tuple, list[dict[str, Any]]] = {}
    shown = f"(SELECT {', '.join(keys)} FROM shown)"
    for row in database.rows(f"FROM {table} SEMI JOIN {shown} AS shown USING ({', '.join(keys)})"):
        by_key.setdefault(tuple(row[name] for name in keys), []).append(row)
    return by_key


def _events(reader: TopicReader, scope: Scope, shown: list[dict[str, Any]]) -> dict[tuple, list[dict[str, Any]]]:
    """The events that Kafka still holds, read again one by one."""
    found = {}
    for row in shown:
        partition, offset = row["kafka_partition"], row["kafka_offset"]
        first, end = scope.events(partition) if partition in scope.ranges else (0, 0)
        if first <= offset < end:
            events = [event for batch in reader.batches(partition, offset, offset + 1) for event in batch.to_pylist()]
            found[partition, offset] = events
    return found


def _place(row: dict[str, Any]) -> str:
    position = (
        f"partition {row['kafka_partition']}, offset {row['kafka_offset']}" if row["kafka_offset"] is not None else ""
    )
    trip = f"trip_id {row['trip_id']}" if row["trip_id"] else ""
    return ", ".join(filter(None, [position, trip]))


def _words(row: dict[str, Any], expected: dict[str, Any] | None, held: list[tuple[str, dict[str, Any]]]) -> str:
    tables = " and ".join(f"{sum(name == table for name, _ in held)} in {table}" for table in dict(held))
    if row["kind"] == "missing":
        if held:
            return f"the trip is in no row of cleaned_trips; there is {tables}"
        return f"in no table; it should be {_short(expected)}"
    if row["kind"] == "doubled":
        return f"{row['surplus']} too many: {tables or 'another row of the same trip'}"
    if expected is None:
        return f"there is {tables}"
    belongs = _belongs(expected)
    if belongs and held[0][0] not in belongs:
        return f"is in {held[0][0]} ({held[0][1].get('reason', 'no reason')}) instead of {belongs[0]}"
    differences = [
        f"{name} is {copy[name]!r} instead of {value!r}"
        for _, copy in held
        for name, value in expected.items()
        if name in copy and name not in NO_VALUES and not _same(copy[name], value)
    ]
    return "; ".join(dict.fromkeys(differences))


def _same(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


def _belongs(expected: dict[str, Any]) -> tuple[str, ...]:
    if "is_trip" in expected:
        return ("raw_trips",) if expected["is_trip"] else ("rejected_events",)
    if "keeps_the_rules" in expected:
        return ("cleaned_trips", "duplicate_trips") if expected["keeps_the_rules"] else ("rejected_trips",)
    return ()


def _short(expected: dict[str, Any] | None) -> str:
    if expected is None:
        return "there"
    if "is_trip" in expected:
        return f"{ {name: expected[name] for name in FIELDS if expected[name]} if expected['is_trip'] else expected['payload']!r}"
    return f"in {_belongs(expected)[0]}" if _belongs(expected) else "in fct_trips"
