"""Offsets that a table itself holds: with them, a job over Kafka starts exactly after the last row of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.hooks.iceberg import IcebergCatalogHook
from lakehouse.hooks.kafka import TopicHook

if TYPE_CHECKING:
    from pyiceberg.table import Table


def next_offsets(topic: TopicHook, table_name: str) -> dict[int, int]:
    """Partition -> offset after the last row of the table; where it has no row, the oldest event of the topic.

    Reads one column of the whole table. Exact because a table gets the events of a partition in their order, and a
    commit has all of them up to a checkpoint.

    :raises AirflowException: Kafka no longer holds the event that would be next
    """
    last = _last_offsets(IcebergCatalogHook().table(table_name))
    first = topic.start_offsets()
    found = {partition: last.get(partition, oldest - 1) + 1 for partition, oldest in first.items()}
    gone = {partition: offset for partition, offset in found.items() if offset < first[partition]}
    if gone:
        gaps = ", ".join(f"partition {p}: {offset} to {first[p] - 1}" for p, offset in gone.items())
        raise AirflowException(
            f"Kafka topic {topic.topic} no longer holds the events after the last row of {table_name} ({gaps}): "
            "a start after it would lose them in silence. Restore the topic, or accept the loss by a replay."
        )
    return found


def startup_options(offsets: dict[int, int]) -> dict[str, str]:
    """Options of Flink's Kafka connector that start at these offsets."""
    specific = ";".join(f"partition:{partition},offset:{offset}" for partition, offset in sorted(offsets.items()))
    return {"scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": specific}


def _last_offsets(table: Table) -> dict[int, int]:
    import duckdb

    rows = table.scan(selected_fields=("kafka_partition", "kafka_offset")).to_arrow_batch_reader()
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        query = "SELECT kafka_partition, max(kafka_offset) FROM rows GROUP BY ALL"
        return dict(connection.execute(query).fetchall())
