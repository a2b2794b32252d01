"""The row ledger: every Kafka offset is accounted for in a table, partition by partition.

Counts come from Kafka's offsets and from Iceberg's metadata (Bronze is kept by Kafka partition), so that the ledger reads
no row, however many there are. As a command: `python -m lakehouse ledger`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count, rows_by_partition
from lakehouse.airflow.hooks.kafka import TopicHook


@dataclass(frozen=True)
class PartitionLedger:
    """What became of the events of one Kafka partition.

    :param kafka: events ever written to it: its end offset, because its first offset ever is 0, whatever was deleted since
    """

    kafka: int
    bronze: int
    rejected_events: int

    @property
    def in_flight(self) -> int:
        """Events that Kafka holds and Bronze does not yet; below zero: doubled rows."""
        return self.kafka - self.bronze - self.rejected_events


@dataclass(frozen=True)
class Ledger:
    """Rows by place, read from the last layer to the first, so that rows in flight only ever look not yet arrived.

    :param partitions: Kafka and Bronze by Kafka partition: one that has too many rows does not make good another's lag
    :param fct_trips: rows of the published Gold fact, None before the first publication
    """

    partitions: Mapping[int, PartitionLedger]
    silver: int
    rejected_trips: int
    duplicates: int
    fct_trips: int | None = None

    @property
    def kafka(self) -> int:
        """Events ever written to the topic."""
        return sum(partition.kafka for partition in self.partitions.values())

    @property
    def bronze(self) -> int:
        """Rows of `bronze.raw_trips`."""
        return sum(partition.bronze for partition in self.partitions.values())

    @property
    def rejected_events(self) -> int:
        """Rows of `bronze.rejected_events`."""
        return sum(partition.rejected_events for partition in self.partitions.values())

    @property
    def bronze_in_flight(self) -> int:
        """Events that Kafka holds and Bronze does not yet, less those that it has too many."""
        return self.kafka - self.bronze - self.rejected_events

    @property
    def silver_in_flight(self) -> int:
        """Bronze rows that Silver has not judged yet; below zero: doubled rows."""
        return self.bronze - self.silver - self.rejected_trips - self.duplicates

    @property
    def balanced(self) -> bool:
        """Every event is in exactly one table, down to Gold."""
        in_flight = [partition.in_flight for partition in self.partitions.values()]
        return not any([*in_flight, self.silver_in_flight]) and self.fct_trips in (None, self.silver)

    @property
    def errors(self) -> list[str]:
        """What no event in flight can explain, in words."""
        found = [
            f"Bronze holds {-partition.in_flight:,} rows more than Kafka has events in partition {number}"
            for number, partition in self.partitions.items()
            if partition.in_flight < 0
        ]
        if self.silver_in_flight < 0:
            found.append(f"Silver holds {-self.silver_in_flight:,} rows more than Bronze")
        if self.fct_trips is not None and self.fct_trips > self.silver:
            found.append(f"fct_trips holds {self.fct_trips - self.silver:,} rows more than Silver")
        return found

    def __str__(self) -> str:
        gold = "-" if self.fct_trips is None else f"{self.fct_trips:,}"
        verdict = "balanced" if self.balanced else "; ".join(self.errors) or "rows in flight"
        totals = PartitionLedger(self.kafka, self.bronze, self.rejected_events)
        by_partition = [
            f"{name!s:9} {row.kafka:>14,} {row.bronze:>14,} {row.rejected_events:>15,} {row.in_flight:>14,}"
            for name, row in [*self.partitions.items(), ("all", totals)]
        ]
        return "\n".join(
            [
                f"{'partition':9} {'Kafka: events':>14} {'raw_trips':>14} {'rejected_events':>15} {'in flight':>14}",
                *by_partition,
                "",
                f"{'layer':8} {'place':24} {'rows':>14}",
                f"{'Bronze':8} {'raw_trips':24} {self.bronze:>14,}",
                f"{'Silver':8} {'cleaned_trips':24} {self.silver:>14,}",
                f"{'Silver':8} {'rejected_trips':24} {self.rejected_trips:>14,}",
                f"{'Silver':8} {'duplicate_trips':24} {self.duplicates:>14,}",
                f"{'':8} {'in flight':24} {self.silver_in_flight:>14,}",
                f"{'Gold':8} {'fct_trips':24} {gold:>14}",
                f"ledger: {verdict}",
            ]
        )


def read_ledger(topic: str, fct_trips: int | None = None) -> Ledger:
    """Count what each place holds at its newest commit.

    :raises AirflowException: Kafka or the catalog cannot be read; the message says which and what to do
    """
    iceberg = IcebergCatalogHook()
    silver, rejected_trips, duplicates = (
        row_count(iceberg.table(f"silver.{name}")) for name in ("cleaned_trips", "rejected_trips", "duplicate_trips")
    )
    bronze, rejected_events = (
        rows_by_partition(iceberg.table(f"bronze.{name}"), "kafka_partition")
        for name in ("raw_trips", "rejected_events")
    )
    kafka = TopicHook(topic).end_offsets()
    partitions = {
        number: PartitionLedger(kafka.get(number, 0), bronze.get(number, 0), rejected_events.get(number, 0))
        for number in sorted({*kafka, *bronze, *rejected_events})
    }
    return Ledger(partitions, silver, rejected_trips, duplicates, fct_trips)
