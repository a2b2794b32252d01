"""Offsets in the tables themselves, with which a job can start from Kafka exactly after the last rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook


def next_offsets(topic: TopicHook, sources: Mapping[str, str]) -> dict[str, dict[int, int]]:
    """Source -> partition -> offset after the last row of its table, but not before the oldest event that Kafka retains.

    Reads two columns of the whole tables. The result is exact because a table gets the events of a partition in order, and each
    commit contains all of them up to a checkpoint. Reconciliation reports whether Kafka has deleted events in between.

    :param sources: Flink source table over the topic -> Iceberg table with its rows; each event is in one of the tables
    """
    oldest = topic.start_offsets()
    return {
        source: {partition: max(first, ends.get(partition, 0)) for partition, first in oldest.items()}
        for source, ends in ((source, _ends(table)) for source, table in sources.items())
    }


def startup_options(offsets: dict[int, int]) -> dict[str, str]:
    """Options of Flink's Kafka connector to start at these offsets."""
    specific = ";".join(f"partition:{partition},offset:{offset}" for partition, offset in sorted(offsets.items()))
    return {"scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": specific}


def _ends(table: str) -> dict[int, int]:
    """Partition -> offset after the last row of a table."""
    import duckdb

    rows = IcebergCatalogHook().table(table).scan(selected_fields=("kafka_partition", "kafka_offset"))
    with duckdb.connect() as connection:
        connection.register("rows", rows.to_arrow_batch_reader())
        found = connection.execute("SELECT kafka_partition, max(kafka_offset) + 1 FROM rows GROUP BY ALL").fetchall()
    return dict(found)
