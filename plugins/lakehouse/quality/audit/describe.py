"""Describes the first findings of each kind: where the row is, and what differs."""

from __future__ import annotations

from typing import Any

from lakehouse.pipelines.model import REJECTED
from lakehouse.quality.audit.database import PINNED, AuditDatabase, view_name
from lakehouse.quality.audit.events import EventReader
from lakehouse.quality.audit.layer import POSITION, Layer
from lakehouse.quality.audit.report import SHOWN, Finding
from lakehouse.quality.audit.scope import Scope
from lakehouse.quality.audit.stage import BATCH

MAX_CHARACTERS = 200
Row = dict[str, Any]
#: Identifies a row: its position, or its key as text.
Key = tuple[Any, ...]


def describe(database: AuditDatabase, layer: Layer, reader: EventReader, scope: Scope) -> list[Finding]:
    """The first findings of each kind of this layer."""
    shown = database.rows(
        "FROM findings WHERE layer = ? QUALIFY row_number() OVER (PARTITION BY kind ORDER BY kafka_partition, kafka_offset,"
        " key) <= ? ORDER BY kind, kafka_partition, kafka_offset, key",
        layer.schema,
        SHOWN,
    )
    if not shown:
        return []
    columns = POSITION if layer.key == POSITION else ("key",)
    keys = sorted({_key(row, columns) for row in shown}, key=str)
    expected_view = f"{layer.schema}.expected"
    if layer.stage and layer.stage.reads_topic:
        expected = _of_events(database, expected_view, reader, scope, keys)
    else:
        expected = _by_key(database, expected_view, layer.key, keys)
    held = {}
    for role, table in layer.sinks.items():
        relation = view_name(PINNED, table) if layer.stage else layer.held[role]
        held[role] = _by_key(database, relation, layer.key, keys)
    found = []
    for row in shown:
        key = _key(row, columns)
        rows = [(role, copy) for role, copies in held.items() for copy in copies.get(key, [])]
        details = _details(layer, row, next(iter(expected.get(key, [])), None), rows)
        found.append(Finding(row["kind"], _place(layer, row), details[:MAX_CHARACTERS]))
    return found


def _key(row: Row, names: tuple[str, ...]) -> Key:
    return tuple(row[name] if names == POSITION or row[name] is None else str(row[name]) for name in names)


def _by_key(database: AuditDatabase, relation: str, names: tuple[str, ...], keys: list[Key]) -> dict[Key, list[Row]]:
    wanted = [key if names == POSITION else key[0] for key in keys]
    column = "(kafka_partition, kafka_offset)" if names == POSITION else f'CAST("{names[0]}" AS VARCHAR)'
    marks = ", ".join("(?, ?)" if names == POSITION else "?" for _ in wanted)
    parameters = [part for key in keys for part in key]
    by_key: dict[Key, list[Row]] = {}
    for row in database.rows(f"FROM {relation} WHERE {column} IN ({marks})", *parameters):
        by_key.setdefault(_key(row, names), []).append(row)
    return by_key


def _of_events(
    database: AuditDatabase, expected: str, reader: EventReader, scope: Scope, keys: list[Key]
) -> dict[Key, list[Row]]:
    """The expected rows of events that Kafka retains, which are read again one by one."""
    found = {}
    for partition, offset in keys:
        first, end = scope.events(partition) if partition in scope.ranges else (0, 0)
        if first <= offset < end:
            for batch in reader.tables(partition, offset, offset + 1):
                database.connection.register(BATCH, batch)
                found[partition, offset] = database.rows(f"FROM {expected}")
    return found


def _place(layer: Layer, row: Row) -> str:
    position = f"partition {row['kafka_partition']}, offset {row['kafka_offset']}"
    key = f"{layer.arrivals_key or layer.key[0]} {row['key']}"
    shown = [position] if row["kafka_offset"] is not None else []
    return ", ".join([*shown, key] if row["key"] is not None or not shown else shown)


def _details(layer: Layer, row: Row, expected: Row | None, held: list[tuple[str, Row]]) -> str:
    counts = {role: sum(role == other for other, _ in held) for role, _ in held}
    tables = " and ".join(f"{count} in {layer.sinks[role]}" for role, count in counts.items())
    allowed = {role: expected[role] for role in layer.sinks if expected and expected[role] is not None}
    belongs = " or ".join(layer.sinks[role] for role in allowed)
    if row["kind"] == "missing":
        if held:
            lack = "too few" if row["key"] is None else "no row of this key is accepted"
            return f"{lack}: {tables}"
        return f"in no table; it belongs in {belongs}: {_values(allowed)}" if allowed else "in no table"
    if row["kind"] == "duplicated":
        return f"{row['surplus']} too many: {tables}"
    if not allowed:
        return f"unexpected: {tables}"
    for role, copy in held:
        if role not in allowed:
            return f"is in {layer.sinks[role]} ({copy.get('reason') or 'no reason'}) instead of {belongs}"
    differences = [text for role, copy in held for text in _differences(role, copy, allowed[role])]
    return "; ".join(dict.fromkeys(differences))


def _differences(role: str, copy: Row, expected: Row) -> list[str]:
    held = {name.lower(): value for name, value in copy.items()}
    found = [
        f"{name} is {held[name.lower()]!r} instead of {value!r}"
        for name, value in expected.items()
        if not _same(held[name.lower()], value)
    ]
    return [*found, "reason is None"] if role == REJECTED and held.get("reason", "") is None else found


def _same(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


def _values(allowed: dict[str, Row]) -> str:
    """The values of a missing row, without nulls."""
    return str({name: value for name, value in next(iter(allowed.values())).items() if value is not None})
