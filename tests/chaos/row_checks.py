"""Checks every event: compares Kafka's offsets with the positions of all rows in each layer.

This is independent of the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass

import duckdb
import pyarrow as pa
from airflow.sdk import BaseHook
from confluent_kafka import Consumer, KafkaException, TopicPartition

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook

BRONZE = ("bronze.raw_trips", "bronze.rejected_events")
SILVER = ("silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips")
LIVE = ("live.counted_trips", "live.late_trips")
WINDOWS = "live.zone_demand"
PORTION = 10_000
PORTION_LIMIT_S, READ_LIMIT_S = 1, 300
#: Fields that must be in Bronze as sent.
FIELDS = ("VendorID", "tpep_pickup_datetime", "tpep_dropoff_datetime", "trip_distance", "PULocationID", "DOLocationID",
          "payment_type", "fare_amount", "tip_amount", "total_amount")  # fmt: skip
#: Columns whose values must be equal in Silver and Bronze.
TYPED = {
    "vendor_id": '"VendorID"::INT',
    "pickup_datetime": '"tpep_pickup_datetime"::TIMESTAMP',
    "fare_amount": '"fare_amount"::DECIMAL(10, 2)',
    "tip_amount": '"tip_amount"::DECIMAL(10, 2)',
    "total_amount": '"total_amount"::DECIMAL(10, 2)',
}

LAYER = """
WITH counted AS (SELECT kafka_partition, kafka_offset, count(*) AS times FROM {layer} GROUP BY ALL)
SELECT
    count(*) FILTER (times IS NULL)::BIGINT AS lost,
    coalesce(sum(CASE WHEN due.kafka_offset IS NULL THEN times ELSE times - 1 END), 0)::BIGINT AS duplicated
FROM {due} AS due FULL JOIN counted USING (kafka_partition, kafka_offset)
"""
#: Rows of closed windows that the windows lack, or have more than were counted in them.
CLOSED = """
WITH counted AS (
    SELECT window_end, pickup_location_id, count(*) AS rows FROM counted_trips
    WHERE window_end <= (SELECT max(window_end) FROM zone_demand) GROUP BY ALL
), closed AS (SELECT window_end, pickup_location_id, sum(trips) AS trips FROM zone_demand GROUP BY ALL)
SELECT
    coalesce(sum(greatest(coalesce(rows, 0) - coalesce(trips, 0), 0)), 0)::BIGINT AS lost,
    coalesce(sum(greatest(coalesce(trips, 0) - coalesce(rows, 0), 0)), 0)::BIGINT AS duplicated
FROM counted FULL JOIN closed
    ON counted.window_end = closed.window_end
    AND counted.pickup_location_id IS NOT DISTINCT FROM closed.pickup_location_id
"""
ALTERED = f"""
SELECT count(*)
FROM sent JOIN raw USING (kafka_partition, kafka_offset) LEFT JOIN cleaned USING (kafka_partition, kafka_offset)
WHERE {" OR ".join(f'''raw."{name}" IS DISTINCT FROM json_extract_string(payload, '$.{name}')''' for name in FIELDS)}
   OR (trip_id IS NOT NULL AND ({" OR ".join(f"cleaned.{name} IS DISTINCT FROM raw.{of}" for name, of in TYPED.items())}))
"""


@dataclass(frozen=True)
class Verdict:
    """Events that are in no table of a layer, surplus rows, and rows whose values differ from those sent."""

    lost: int
    duplicated: int
    altered: int

    @property
    def clean(self) -> bool:
        return not any(astuple(self))


class RowCheck:
    """Checks all layers completely; values are compared once, for the events since the last verdict (or `__init__`)."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._compared = TopicHook(topic).end_offsets()

    def __call__(self) -> Verdict:
        """The verdict on the current rows of all layers; rows in flight count as lost."""
        ends = TopicHook(self._topic).end_offsets()
        with duckdb.connect() as db:
            db.register("sent", self._sent_until(ends))
            for table in (*BRONZE, *SILVER, *LIVE, WINDOWS):
                db.execute(f"CREATE VIEW {table.split('.')[1]} AS FROM {_scan(table)}")
            verdict = check_rows(db, ends)
        self._compared = ends
        return verdict

    def _sent_until(self, ends: Mapping[int, int]) -> pa.Table:
        """The events since the last verdict, from Kafka."""
        left = sum(ends.values()) - sum(self._compared.values())
        settings = BaseHook.get_connection("kafka_default").extra_dejson
        consumer = Consumer({**settings, "group.id": "chaos-row-check", "enable.auto.commit": False, "log_level": 0})
        consumer.assign([TopicPartition(self._topic, *position) for position in self._compared.items()])
        rows: list[tuple[int, int, bytes | None]] = []
        deadline = time.monotonic() + READ_LIMIT_S
        try:
            while left > 0:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{left:,} events of {self._topic} cannot be read within {READ_LIMIT_S} s")
                for message in consumer.consume(PORTION, PORTION_LIMIT_S):
                    if message.error():
                        raise KafkaException(message.error())
                    if message.offset() < ends[message.partition()]:
                        rows.append((message.partition(), message.offset(), message.value()))
                        left -= 1
        finally:
            consumer.close()
        return pa.table(
            {
                "kafka_partition": pa.array([row[0] for row in rows], pa.int32()),
                "kafka_offset": pa.array([row[1] for row in rows], pa.int64()),
                "payload": pa.array([(row[2] or b"null").decode(errors="replace") for row in rows], pa.string()),
            }
        )


def check_rows(db: duckdb.DuckDBPyConnection, ends: Mapping[int, int]) -> Verdict:
    """Compare the tables of a database with Kafka's end offsets (partition -> offset after its last event).

    The database has the tables of each layer, without namespaces, and `sent` (kafka_partition, kafka_offset,
    payload): the events whose values are compared.
    """
    db.register("ends", pa.table({"partition": list(ends), "last": list(ends.values())}))
    db.execute(
        "CREATE VIEW events AS SELECT partition AS kafka_partition, unnest(range(last)) AS kafka_offset FROM ends"
    )
    db.execute("CREATE VIEW raw AS FROM raw_trips")
    db.execute("CREATE VIEW cleaned AS FROM cleaned_trips")
    for name, tables in {"bronze": BRONZE, "silver": SILVER, "live": LIVE}.items():
        positions = (f"SELECT kafka_partition, kafka_offset FROM {table.split('.')[1]}" for table in tables)
        db.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(positions)}")
    db.execute("CREATE VIEW to_silver AS SELECT DISTINCT kafka_partition, kafka_offset FROM raw")
    db.execute("CREATE VIEW to_live AS SELECT DISTINCT kafka_partition, kafka_offset FROM cleaned")
    layers = {"bronze": "events", "silver": "to_silver", "live": "to_live"}
    queries = [*(LAYER.format(due=due, layer=layer) for layer, due in layers.items()), CLOSED]
    lost, duplicated = map(sum, zip(*(db.execute(query).fetchone() for query in queries), strict=True))
    (altered,) = db.execute(ALTERED).fetchone()
    return Verdict(lost, duplicated, altered)


def _scan(table: str) -> str:
    """DuckDB's scan of the table's data files: a file that is listed twice is read twice. There are no row-level deletes."""
    table = IcebergCatalogHook().table(table)
    files = [f"'{task.file.file_path.removeprefix('file://')}'" for task in table.scan().plan_files()]
    if files:
        return f"read_parquet([{', '.join(files)}], hive_partitioning = false)"
    columns = ", ".join(f"NULL AS {name}" for name in table.schema().column_names)
    return f"(SELECT {columns} WHERE false)"
