"""Prints the result of the main job as tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from demo.main_job import LiveView, Outcome

PHASES = {
    "start": "platform started, Flink jobs deployed",
    "produce": "first event -> all events acknowledged by Kafka",
    "bronze": "first event -> Bronze complete",
    "silver": "first event -> Silver complete",
    "live": "first event -> every trip is in a live window, or late",
    "gold": "nyc_taxi_pipeline triggered -> Gold published",
    "end_to_end": "first event -> Gold published",
}
PLACES = {
    "kafka": "Kafka: events",
    "bronze": "Bronze: raw_trips",
    "rejected_events": "Bronze: rejected_events",
    "silver": "Silver: cleaned_trips",
    "rejected_trips": "Silver: rejected_trips",
    "counted_trips": "Live: counted_trips (in windows of event time)",
    "late_trips": "Live: late_trips",
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
        _counts(
            "place", {place: (outcome.rows[name], outcome.expected.get(name)) for name, place in PLACES.items()}, fine
        )
    )
    if reasons := {**outcome.rejects, **outcome.expected_rejects}:
        counts = {why: (outcome.rejects.get(why, 0), outcome.expected_rejects.get(why, 0)) for why in reasons}
        console.print(_counts("rejected trips, by reason", counts, fine))
    if OUTSIDE in reasons:
        first, after = outcome.window
        window = f"The window is from {first} until {after}. It is set by the parameters pickup_from and pickup_to"
        console.print(f"{window} (docs/pipelines.md)", soft_wrap=True)
    if outcome.live:
        console.print(
            f"Live: {outcome.live.closed:,} trips in windows of 15 minutes until {outcome.live.closed_until}, "
            f"{outcome.live.open:,} in open ones",
            soft_wrap=True,
        )
        console.print(_live(outcome.live))
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


def _live(view: LiveView) -> Table:
    """The busiest zones of the last day of closed windows."""
    table = Table("busiest zones of the last day", "borough", "trips", "revenue", "mean speed")
    for zone, borough, trips, revenue, speed in view.zones:
        table.add_row(zone, borough, f"{trips:,}", f"${revenue:,.2f}", f"{speed:.1f} mph")
    for column in table.columns[2:]:
        column.justify = "right"
    return table


def _counts(what: str, counts: Mapping[str, tuple[int, int | None]], fine: str) -> Table:
    """A table of actual and expected counts; None: nothing is expected."""
    table = Table(what, "rows", "expected", "")
    for name, (found, due) in counts.items():
        expected, mark = ("-", "") if due is None else (f"{due:,}", fine if found == due else "[red]WRONG[/red]")
        table.add_row(name, f"{found:,}", expected, mark)
    for column in table.columns[1:3]:
        column.justify = "right"
    return table
