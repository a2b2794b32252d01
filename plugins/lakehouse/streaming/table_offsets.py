"""Offsets that tables themselves hold: with them, a job over Kafka starts exactly after the last rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook


@dataclass(frozen=True)
class _Held:
    """What a table holds of a partition: the offset after its last row, and how many rows Kafka no longer has."""

    end: int
    gone: int


def next_offsets(topic: TopicHook, sources: Mapping[str, str]) -> dict[str, dict[int, int]]:
    """Source -> partition -> offset after the last row of its table, or of the oldest event that the topic still holds.

    Reads two columns of the whole tables. Exact because a table gets the events of a partition in their order, and a
    commit has all of them up to a checkpoint.

    :param sources: Flink table over the topic -> Iceberg table that keeps its rows; each event is in one of the tables
    :raises AirflowException: Kafka no longer holds events that may be in none of the tables
    """
    oldest = topic.start_offsets()
    held = {source: _held(table, oldest) for source, table in sources.items()}
    gaps = []
    for partition, first in oldest.items():
        of_partition = [tables[partition] for tables in held.values() if partition in tables]
        end = min((table.end for table in of_partition), default=first)
        if end < first and sum(table.gone for table in of_partition) < first:
            gaps.append(f"partition {partition}: {end} to {first - 1}")
    if gaps:
        raise AirflowException(
            f"Kafka topic {topic.topic} no longer holds the events after the last row of {' or '.join(sources.values())} "
            f"({', '.join(gaps)}): a start after it would silently lose those that are not in another table. "
            "Next: restore the topic, or accept the loss by a replay (DAG replay)."
        )
    return {
        source: {p: max(tables[p].end, first) if p in tables else first for p, first in oldest.items()}
        for source, tables in held.items()
    }


def startup_options(offsets: dict[int, int]) -> dict[str, str]:
    """Options of Flink's Kafka connector that start at these offsets."""
    specific = ";".join(f"partition:{partition},offset:{offset}" for partition, offset in sorted(offsets.items()))
    return {"scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": specific}


def _held(table: str, oldest: Mapping[int, int]) -> dict[int, _Held]:
    import duckdb
    import pyarrow as pa

    rows = IcebergCatalogHook().table(table).scan(selected_fields=("kafka_partition", "kafka_offset"))
    topic = pa.table({"kafka_partition": list(oldest), "oldest": list(oldest.values())})
    with duckdb.connect() as connection:
        connection.register("rows", rows.to_arrow_batch_reader())
        connection.register("topic", topic)
        found = connection.execute(
            "SELECT kafka_partition, max(kafka_offset) + 1, count(*) FILTER (kafka_offset < oldest)"
            " FROM rows JOIN topic USING (kafka_partition) GROUP BY ALL"
        ).fetchall()
    return {partition: _Held(end, gone) for partition, end, gone in found}
