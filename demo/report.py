"""Prints the result of the main job as tables on a terminal."""

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
    """Print the seconds of each phase, actual and expected rows by place and rejected trips by reason, and the
    ledger's verdict.
    """
    from taxi_generator.pipeline import OUTSIDE

    seconds = Table("phase", ("seconds"), title_justify="left")
    seconds.columns[1].justify = "right"
    for name, meaning in PHASES.items():
        seconds.add_row(meaning, f"{outcome.phases_s[name]:.1f}")
    fine = "as expected" if outcome.mostly_rejected else "ok"
    console.print()
    console.print(seconds)
    console.print(
        _counts("place", {place: (outcome.rows[name], outcome.expected[name]) for name, place in PLACES.items()}, fine)
    )
    if reasons := {**outcome.rejects, **outcome.expected_rejects}:
        counts = {why: (outcome.rejects.get(why, 0), outcome.expected_rejects.get(why, 0)) for why in reasons}
        console.print(_counts("rejected trips, by reason", counts, fine))
    if OUTSIDE in reasons:
        first, after = outcome.window
        window = f"The window is from {first} until {after}. It is set by the parameters pickup_from and pickup_to"
        console.print(f"{window} (docs/pipelines.md)", soft_wrap=True)
    console.print(f"Ledger: {'balanced' if outcome.ledger_balanced else '[red]NOT balanced[/red] (make ledger)'}")


def verdict(outcome: Outcome, other_window: str) -> str | None:
    """What is wrong, in one line with the next step, or None.

    :param other_window: how to set another window
    """
    from taxi_generator.pipeline import OUTSIDE

    if not outcome.right:
        return "the counts or the ledger are not as they should be (see the table). Next: make ledger"
    if not outcome.mostly_rejected:
        return None
    reason, trips = next(iter(outcome.rejects.items()))
    said = f"most trips were rejected, {outcome.rejected:,} of {outcome.sent:,}: {trips:,} because {reason}"
    if reason != OUTSIDE:
        return f"{said}. Next: make rejects shows the first ones"
    first, after = outcome.window
    return f"{said} from {first} until {after}. Next: {other_window}"


def _counts(what: str, counts: dict[str, tuple[int, int]], fine: str) -> Table:
    """A table of actual and expected counts."""
    table = Table(what, "rows", "expected", "")
    for name, (found, due) in counts.items():
        table.add_row(name, f"{found:,}", f"{due:,}", fine if found == due else "[red]WRONG[/red]")
    for column in table.columns[1:3]:
        column.justify = "right"
    return table
