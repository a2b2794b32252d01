"""Handwritten events with their expected rows in each layer, for the audit to compare."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

FIELDS = (
    "VendorID",
    "tpep_pickup_datetime",
    "tpep_dropoff_datetime",
    "passenger_count",
    "trip_distance",
    "RatecodeID",
    "store_and_fwd_flag",
    "PULocationID",
    "DOLocationID",
    "payment_type",
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "improvement_surcharge",
    "total_amount",
    "congestion_surcharge",
    "Airport_fee",
)
AMOUNTS = FIELDS[10:]
POSITION = {"kafka_partition": pa.int32(), "kafka_offset": pa.int64()}
WRITTEN = pa.timestamp("us", tz="UTC")
SOURCE = {name: pa.string() for name in FIELDS}
SCHEMAS = {
    "bronze.raw_trips": {**SOURCE, "ingested_at": WRITTEN, **POSITION},
    "bronze.rejected_events": {"payload": pa.binary(), "reason": pa.string(), **POSITION, "ingested_at": WRITTEN},
    "silver.cleaned_trips": {
        "trip_id": pa.string(),
        "vendor_id": pa.int32(),
        "pickup_datetime": pa.timestamp("us"),
        "dropoff_datetime": pa.timestamp("us"),
        "passenger_count": pa.int32(),
        "trip_distance": pa.float64(),
        "rate_code_id": pa.int32(),
        "store_and_fwd_flag": pa.string(),
        "pickup_location_id": pa.int32(),
        "dropoff_location_id": pa.int32(),
        "payment_type_id": pa.int32(),
        **{name.lower(): pa.decimal128(10, 2) for name in AMOUNTS},
        "trip_duration_minutes": pa.float64(),
        "pickup_date": pa.date32(),
        "pickup_hour": pa.int32(),
        **POSITION,
        "processed_at": WRITTEN,
    },
    "silver.rejected_trips": {**SOURCE, "reason": pa.string(), **POSITION, "processed_at": WRITTEN},
    "silver.duplicate_trips": {"trip_id": pa.string(), **POSITION, "processed_at": WRITTEN},
}
WITH_TEXTS = ("bronze.raw_trips", "silver.rejected_trips")
START = datetime(2024, 1, 15, 10)
NOW = datetime(2024, 3, 1, tzinfo=UTC)


class Lake:
    """Two partitions of events, and rows of each table that can be corrupted before they are written.

    :param new_field: an amount that events have in addition to the known fields
    """

    #: Version of the rules in Silver's rows; None: the tables do not have the column yet.
    rules_version: str | None = None

    def __init__(self, new_field: str | None = None) -> None:
        self.new_fields = [new_field] if new_field else []
        self.events: dict[int, list[bytes | None]] = {0: [], 1: []}
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}

    @property
    def fields(self) -> tuple[str, ...]:
        return (*FIELDS, *self.new_fields)

    def event(self, payload: bytes | None, partition: int = 0) -> dict[str, int]:
        self.events[partition].append(payload)
        return {"kafka_partition": partition, "kafka_offset": len(self.events[partition]) - 1}

    def rejected_event(self, payload: bytes | None, partition: int = 0) -> None:
        place = self.event(payload, partition)
        row = {"payload": payload, "reason": "not JSON", **place, "ingested_at": NOW}
        self.rows["bronze.rejected_events"].append(row)

    def raw_trip(self, fields: dict[str, str], partition: int = 0) -> tuple[dict[str, Any], dict[str, int]]:
        """An event with these JSON values, and its Bronze row."""
        place = self.event(
            ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode(), partition
        )
        row = {
            name: fields[name].strip('"') if name in fields and fields[name] != "null" else None for name in self.fields
        }
        self.rows["bronze.raw_trips"].append({**row, "ingested_at": NOW, **place})
        return row, place

    def rejected_trip(self, partition: int = 0, **changes: str) -> None:
        row, place = self.raw_trip(trip_fields(0, **changes), partition)
        self.rows["silver.rejected_trips"].append({**row, "reason": "broken", **place, "processed_at": NOW})

    def trip(self, number: int, partition: int = 0) -> dict[str, Any]:
        """A good trip, in every layer."""
        _, place = self.raw_trip({**trip_fields(number), **dict.fromkeys(self.new_fields, "0.745")}, partition)
        new = dict.fromkeys(self.new_fields, Decimal("0.75"))
        row = {**typed_trip(number), **new, **place, "processed_at": NOW + timedelta(seconds=number)}
        self.rows["silver.cleaned_trips"].append(row)
        return row

    def duplicate(self, number: int, partition: int = 1) -> None:
        """The same trip again."""
        _, place = self.raw_trip(trip_fields(number), partition)
        row = {"trip_id": typed_trip(number)["trip_id"], **place, "processed_at": NOW + timedelta(seconds=number + 1)}
        self.rows["silver.duplicate_trips"].append(row)

    def find(self, table: str, partition: int, offset: int) -> dict[str, Any]:
        """The row of that event."""
        return next(
            row for row in self.rows[table] if (row["kafka_partition"], row["kafka_offset"]) == (partition, offset)
        )

    def write(self, catalog: SqlCatalog) -> None:
        """Append the rows to the Iceberg tables, which are created if they are missing."""
        new = {"silver.cleaned_trips": pa.decimal128(10, 2), **dict.fromkeys(WITH_TEXTS, pa.string())}
        for name, known in SCHEMAS.items():
            fields = {**known, **(dict.fromkeys(self.new_fields, new[name]) if name in new else {})}
            if self.rules_version and name.startswith("silver."):
                fields["rules_version"] = pa.string()
                for row in self.rows[name]:
                    row.setdefault("rules_version", self.rules_version)
            catalog.create_namespace_if_not_exists(name.split(".")[0])
            if not catalog.table_exists(name):
                with catalog.create_table_transaction(name, pa.schema(fields)) as draft:
                    if name.startswith("bronze."):
                        draft.update_spec().add_identity("kafka_partition").commit()
            if self.rows[name]:
                catalog.load_table(name).append(pa.Table.from_pylist(self.rows[name], pa.schema(fields)))

    def publish(self, catalog: SqlCatalog, file: Path, corrupt: str = "") -> None:
        """Build a Gold file from the current Silver; then run SQL in it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        silver = catalog.load_table("silver.cleaned_trips")
        trips = silver.scan().to_arrow()
        with duckdb.connect(str(file)) as gold:
            gold.register("trips", trips)
            gold.execute("SET TimeZone = 'UTC'; CREATE TABLE fct_trips AS FROM trips; CREATE SCHEMA staging")
            gold.execute("ALTER TABLE fct_trips DROP kafka_partition; ALTER TABLE fct_trips DROP kafka_offset")
            gold.execute(
                f"CREATE TABLE built_from AS SELECT {silver.current_snapshot().snapshot_id} AS source_snapshot_id"
            )
            for table, column in {
                "dim_vendors": "vendor_id",
                "dim_rate_codes": "rate_code_id",
                "dim_payment_types": "payment_type_id",
                "dim_locations": "location_id",
            }.items():
                gold.execute(f"CREATE TABLE {table} AS SELECT range AS {column} FROM range(1, 266)")
            gold.execute("UPDATE fct_trips SET vendor_id = -1 WHERE vendor_id > 265")
            gold.execute(corrupt or "SELECT 1")


def trip_fields(number: int, **changes: str) -> dict[str, str]:
    """A valid trip's fields as JSON values; each number is another trip."""
    pickup = START + timedelta(minutes=number)
    return {
        "VendorID": "2",
        "tpep_pickup_datetime": json.dumps(pickup.isoformat()),
        "tpep_dropoff_datetime": json.dumps((pickup + timedelta(seconds=1205)).isoformat()),
        "passenger_count": "1",
        "trip_distance": "2.50",
        "RatecodeID": "1.0",
        "store_and_fwd_flag": '"N"',
        "PULocationID": "132",
        "DOLocationID": "1",
        "payment_type": "1",
        **dict.fromkeys(AMOUNTS, "1.005"),
        "fare_amount": "20",
        "Airport_fee": "null",
        **changes,
    }


def typed_trip(number: int) -> dict[str, Any]:
    """The trip's row in Silver, without position and processing time."""
    pickup = START + timedelta(minutes=number)
    dropoff = pickup + timedelta(seconds=1205)
    identity = f"2|{pickup}|{dropoff}|132|1|20.00|1.01"
    return {
        "trip_id": hashlib.md5(identity.encode(), usedforsecurity=False).hexdigest(),
        "vendor_id": 2,
        "pickup_datetime": pickup,
        "dropoff_datetime": dropoff,
        "passenger_count": 1,
        "trip_distance": 2.5,
        "rate_code_id": 1,
        "store_and_fwd_flag": "N",
        "pickup_location_id": 132,
        "dropoff_location_id": 1,
        "payment_type_id": 1,
        **{name.lower(): Decimal("1.01") for name in AMOUNTS},
        "fare_amount": Decimal("20.00"),
        "airport_fee": None,
        "trip_duration_minutes": 20.08,
        "pickup_date": pickup.date(),
        "pickup_hour": pickup.hour,
    }
