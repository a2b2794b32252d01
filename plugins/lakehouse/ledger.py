"""The row ledger: every Kafka offset is accounted for in a table.

Counts come from Kafka's offsets and from Iceberg's snapshot summaries, so that the ledger costs the same on a billion rows.
As a command: `python -m lakehouse ledger`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.hooks.kafka import TopicHook


@dataclass(frozen=True)
class Ledger:
    """Rows by place, read from the last layer to the first, so that rows in flight only ever look not yet arrived.

    :param kafka: events ever written to the topic (sum of its end offsets; its first offset ever is 0)
    :param fct_trips: rows of the published Gold fact, None before the first publication
    """

    kafka: int
    bronze: int
    rejected_events: int
    silver: int
    rejected_trips: int
    duplicates: int
    fct_trips: int | None = None

    @property
    def bronze_in_flight(self) -> int:
        """Events that Kafka holds and Bronze does not yet; below zero: doubled rows."""
        return self.kafka - self.bronze - self.rejected_events

    @property
    def silver_in_flight(self) -> int:
        """Bronze rows that Silver has not judged yet; below zero: doubled rows."""
        return self.bronze - self.silver - self.rejected_trips - self.duplicates

    @property
    def balanced(self) -> bool:
        """Every event is in exactly one table, down to Gold."""
        return self.bronze_in_flight == 0 and self.silver_in_flight == 0 and self.fct_trips in (None, self.silver)

    @property
    def errors(self) -> list[str]:
        """What no event in flight can explain, in words."""
        found = []
        if self.bronze_in_flight < 0:
            found.append(f"Bronze holds {-self.bronze_in_flight:,} rows more than Kafka has events")
        if self.silver_in_flight < 0:
            found.append(f"Silver holds {-self.silver_in_flight:,} rows more than Bronze")
        if self.fct_trips is not None and self.fct_trips > self.silver:
            found.append(f"fct_trips holds {self.fct_trips - self.silver:,} rows more than Silver")
        return found

    def __str__(self) -> str:
        gold = "-" if self.fct_trips is None else f"{self.fct_trips:,}"
        verdict = "balanced" if self.balanced else "; ".join(self.errors) or "rows in flight"
        return (
            f"{'layer':8} {'place':24} {'rows':>14}\n"
            f"{'Kafka':8} {'events':24} {self.kafka:>14,}\n"
            f"{'Bronze':8} {'raw_trips':24} {self.bronze:>14,}\n"
            f"{'Bronze':8} {'rejected_events':24} {self.rejected_events:>14,}\n"
            f"{'':8} {'in flight':24} {self.bronze_in_flight:>14,}\n"
            f"{'Silver':8} {'cleaned_trips':24} {self.silver:>14,}\n"
            f"{'Silver':8} {'rejected_trips':24} {self.rejected_trips:>14,}\n"
            f"{'Silver':8} {'duplicate_trips':24} {self.duplicates:>14,}\n"
            f"{'':8} {'in flight':24} {self.silver_in_flight:>14,}\n"
            f"{'Gold':8} {'fct_trips':24} {gold:>14}\n"
            f"ledger: {verdict}"
        )


def read_ledger(topic: str, fct_trips: int | None = None) -> Ledger:
    """Count what each place holds at its newest commit.

    :raises AirflowException: Kafka or the catalog cannot be read; the message says which and what to do
    """
    iceberg = IcebergCatalogHook()
    silver, rejected_trips, duplicates, bronze, rejected_events = (
        row_count(iceberg.table(f"{name}"))
        for name in (
            "silver.cleaned_trips",
            "silver.rejected_trips",
            "silver.duplicate_trips",
            "bronze.raw_trips",
            "bronze.rejected_events",
        )
    )
    kafka = sum(TopicHook(topic).end_offsets().values())
    return Ledger(kafka, bronze, rejected_events, silver, rejected_trips, duplicates, fct_trips)
