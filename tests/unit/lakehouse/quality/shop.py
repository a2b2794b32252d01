"""A second, different pipeline with handwritten rows of each of its tables, for the audit's generic checks."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

from lakehouse.pipelines.contract import Contract, read_contract
from lakehouse.pipelines.model import Pipeline

CONTRACT = {
    "type": "object",
    "properties": {
        "orderId": {"type": "integer", "x-column": "order_id"},
        "qty": {"type": ["integer", "null"], "x-type": "INT"},
        "price": {"type": ["number", "null"], "x-type": "DECIMAL(8, 3)"},
        "weight": {"type": ["number", "null"]},
        "paid": {"type": ["boolean", "null"]},
        "day": {"type": "string", "format": "date"},
        "sentAt": {"type": "string", "x-column": "sent_at", "x-type": "TIMESTAMP_LTZ(6)"},
        "packed": {"type": "string", "format": "date-time"},
        "note": {"type": ["string", "null"]},
        "lines": {"type": "array"},
    },
}
#: The tables of all stages are in one namespace, which another pipeline uses too.
STAGES = {
    "intake": {
        "sql": "05-bronze.sql",
        "source": "topic",
        "sinks": {"accepted": "shop.order_events", "rejected": "shop.unreadable"},
    },
    "typed": {
        "sql": "shop/typed.sql",
        "source": "shop.order_events",
        "sinks": {"accepted": "shop.orders", "rejected": "shop.refused_orders", "duplicate": "shop.repeated_orders"},
    },
    "sorted": {
        "sql": "shop/sorted.sql",
        "source": "shop.orders",
        "sinks": {"urgent": "shop.urgent_orders", "plain": "shop.plain_orders"},
    },
}
POSITION = {"kafka_partition": pa.int32(), "kafka_offset": pa.int64()}
MOMENT, INSTANT = pa.timestamp("us"), pa.timestamp("us", tz="UTC")
TEXTS = {name: pa.string() for name in CONTRACT["properties"]}
TYPED = {
    "order_id": pa.int64(), "qty": pa.int32(), "price": pa.decimal128(8, 3), "weight": pa.float64(), "paid": pa.bool_(),
    "day": pa.date32(), "sent_at": INSTANT, "packed": MOMENT, "note": pa.string(), "lines": pa.string(),
}  # fmt: skip
SCHEMAS = {
    "shop.order_events": {**TEXTS, **POSITION, "ingested_at": INSTANT},
    "shop.unreadable": {"payload": pa.binary(), "reason": pa.string(), **POSITION},
    "shop.orders": {**TYPED, **POSITION, "processed_at": INSTANT},
    "shop.refused_orders": {**TEXTS, "reason": pa.string(), **POSITION},
    "shop.repeated_orders": {"of": pa.string(), **POSITION},
    "shop.urgent_orders": {"order_id": pa.int64(), "price": pa.decimal128(8, 3), "rank": pa.int32(), **POSITION},
    "shop.plain_orders": {"order_id": pa.int64(), "note": pa.string(), **POSITION},
}
NOW = datetime(2024, 3, 1, tzinfo=UTC)


def shop(contract: Contract, **changes: Any) -> Pipeline:
    """The pipeline with a test's changes."""
    declared = {
        "name": "shop",
        "title": "Orders",
        "topic": {"name": "shop.orders", "contract": "shop.json"},
        "stages": STAGES,
        "gold": {"fact": "fct_orders", "source": "shop.orders"},
        "contract": contract,
    }
    return Pipeline.model_validate({**declared, **changes})


def shop_contract(folder: Path) -> Contract:
    file = folder / "shop.json"
    file.write_text(json.dumps(CONTRACT))
    return read_contract(file)


def written(number: int, **changes: str) -> dict[str, str]:
    """An order's fields as JSON values; each number is another order."""
    return {
        "orderId": str(9007199254740993 + number),
        "qty": "3.0",
        "price": "2.6785",
        "weight": "1e-1",
        "paid": "true",
        "day": '"2024-01-15"',
        "sentAt": '"2024-01-15T10:00:00.5+05:30"',
        "packed": '"2024-01-15T10:00:01"',
        "note": '"caf\u00e9"',
        "lines": '[ {"sku": 1.50} ]',
        **changes,
    }


def typed(number: int) -> dict[str, Any]:
    """The order's typed values."""
    return {
        "order_id": 9007199254740993 + number,
        "qty": 3,
        "price": Decimal("2.679"),
        "weight": 0.1,
        "paid": True,
        "day": date(2024, 1, 15),
        "sent_at": datetime(2024, 1, 15, 4, 30, 0, 500_000, tzinfo=UTC),
        "packed": datetime(2024, 1, 15, 10, 0, 1),
        "note": "caf\u00e9",
        "lines": '[ {"sku": 1.50} ]',
    }


class Shop:
    """Events of one partition, and rows of each table that can be corrupted before they are written."""

    def __init__(self) -> None:
        self.events: list[bytes | None] = []
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}

    def add(self, table: str, **row: Any) -> dict[str, Any]:
        self.rows[table].append(row)
        return row

    def event(self, fields: dict[str, str]) -> tuple[dict[str, str | None], dict[str, int]]:
        """An event, with its text row in the first stage's table."""
        body = ", ".join(f'"{name}": {value}' for name, value in fields.items())
        self.events.append(f"{{{body}}}".encode())
        place = {"kafka_partition": 0, "kafka_offset": len(self.events) - 1}
        texts = {name: None if value == "null" else value.strip('"') for name, value in fields.items()}
        self.add("shop.order_events", **texts, **place, ingested_at=NOW)
        return texts, place

    def order(self, number: int) -> dict[str, Any]:
        _, place = self.event(written(number))
        values = typed(number)
        late = number % 2
        kept = ("order_id", "note") if late else ("order_id", "price")
        self.add(f"shop.{'plain' if late else 'urgent'}_orders", **{name: values[name] for name in kept}, **place)
        return self.add("shop.orders", **values, **place, processed_at=NOW + timedelta(seconds=number))

    def refused(self, **changes: str) -> dict[str, Any]:
        texts, place = self.event(written(0, **changes))
        return self.add("shop.refused_orders", **texts, reason="bad", **place)

    def repeated(self, number: int) -> dict[str, Any]:
        _, place = self.event(written(number))
        return self.add("shop.repeated_orders", of=f"the same as {number}", **place)

    def unreadable(self, payload: bytes | None) -> None:
        self.events.append(payload)
        self.add("shop.unreadable", payload=payload, reason="?", kafka_partition=0, kafka_offset=len(self.events) - 1)

    def find(self, table: str, offset: int) -> dict[str, Any]:
        return next(row for row in self.rows[table] if row["kafka_offset"] == offset)

    def write(self, catalog: SqlCatalog) -> None:
        catalog.create_namespace_if_not_exists("shop")
        for name, fields in SCHEMAS.items():
            table = catalog.create_table(name, pa.schema(fields))
            if self.rows[name]:
                table.append(pa.Table.from_pylist(self.rows[name], pa.schema(fields)))


def publish(catalog: SqlCatalog, file: Path, fact: str, corrupt: str = "SELECT 1") -> None:
    """Build a Gold file: `fct_orders` by a query on `orders`; then run SQL in it."""
    file.parent.mkdir(parents=True)
    source = catalog.load_table("shop.orders")
    orders = source.scan().to_arrow()
    with duckdb.connect(str(file)) as gold:
        gold.execute("SET TimeZone = 'UTC'")
        gold.register("orders", orders)
        gold.execute(f"CREATE TABLE fct_orders AS {fact}")
        gold.execute(f"CREATE TABLE built_from AS SELECT {source.current_snapshot().snapshot_id} AS source_snapshot_id")
        gold.execute(corrupt)
