"""The streaming jobs of the platform: which SQL each runs, and which tables it writes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Declared:
    """One streaming job.

    :param sql: files of `include/sql/`, run in this order in one session; the last statement starts the job
    :param tables: Iceberg tables that together get one row for each row of the source
    :param kafka_sources: Flink table over the topic -> Iceberg table that keeps the partition and offset of each of its rows
    :param reader: the job that reads these tables, if any
    """

    sql: tuple[str, ...]
    tables: tuple[str, ...]
    kafka_sources: dict[str, str] = field(default_factory=dict)
    reader: str | None = None


JOBS = {
    "bronze": Declared(
        sql=("00-init.sql", "05-bronze.sql"),
        tables=("bronze.raw_trips", "bronze.rejected_events"),
        kafka_sources={"trip_events": "bronze.raw_trips", "trip_payloads": "bronze.rejected_events"},
        reader="silver",
    ),
    "silver": Declared(
        sql=("00-init.sql", "06-silver.sql"),
        tables=("silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips"),
    ),
}
