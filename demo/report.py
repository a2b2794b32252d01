"""What came of the main job, as tables on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from demo.main_job import Outcome

PHASES = {
    "start": "platform started, Flink jobs deployed",
    "produce": "first event -> all events acknowledged by Kafka",
    "bronze": "first event -> Bronze complete",
    "silver": "first event -> Silver complete",
    "gold": "nyc_taxi_pipeline triggered -> Gold published",
    "end_to_end": "first event -> Gold published",
}
PLACES = {
    "kafka": "Kafka: events",
    "bronze": "Bronze: raw_trips",
    "rejected_events": "Bronze: rejected_events",
    "silver": "Silver: cleaned_trips",
    "rejected_trips": "Silver: rejected_trips",
    "fct_trips": "Gold: fct_trips",
    "mart_daily_revenue": "Gold: mart_daily_revenue (days)",
    "mart_hourly_demand": "Gold: mart_hourly_demand (hours)",
}


def show(outcome: Outcome, console: Console) -> None:
    """Print the seconds of each phase, the rows of each place beside those that are due, and the ledger's verdict."""
    seconds = Table("phase", ("seconds"), title_justify="left")
    seconds.columns[1].justify = "right"
    for name, meaning in PHASES.items():
        seconds.add_row(meaning, f"{outcome.phases_s[name]:.1f}")
    rows = Table("place", "rows", "expected", "")
    for name, place in PLACES.items():
        found, due = outcome.rows[name], outcome.expected[name]
        rows.add_row(place, f"{found:,}", f"{due:,}", "ok" if found == due else "[red]WRONG[/red]")
    for column in rows.columns[1:3]:
        column.justify = "right"
    console.print()
    console.print(seconds)
    console.print(rows)
    console.print(f"Ledger: {'balanced' if outcome.ledger_balanced else '[red]NOT balanced[/red] (make ledger)'}")
