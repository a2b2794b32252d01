"""The demo's output: rejected trips by reason, and one line if most trips are rejected."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from demo.main_job import LiveView, Outcome
from demo.report import PHASES, PLACES, show, verdict
from taxi_generator.pipeline import OUTSIDE

COUNTS = dict.fromkeys(PLACES, 7)
NEGATIVE = "fare_amount is negative"
FINE = Outcome(
    phases_s=dict.fromkeys(PHASES, 1.0), rows=COUNTS, expected=COUNTS, ledger_balanced=True, sent=100,
    rejects={NEGATIVE: 30, OUTSIDE: 20}, expected_rejects={NEGATIVE: 30, OUTSIDE: 20},
    window=("2024-01-01 00:00:00", "2024-02-01 00:00:00"),
)  # fmt: skip
OTHER_MONTH = replace(FINE, rejects={OUTSIDE: 51}, expected_rejects={OUTSIDE: 51})


def shown(outcome: Outcome) -> str:
    console = Console(file=io.StringIO(), width=120)
    show(outcome, console)
    return console.file.getvalue()


def rows(text: str) -> dict[str, list[str]]:
    """First cell -> the cells of each row of the tables."""
    cells = [[cell.strip() for cell in line.strip("│┃").split("│")] for line in text.splitlines() if "│" in line]
    return {name: rest for name, *rest in cells}


def test_rejected_trips_are_shown_by_reason_with_the_setting_behind_it():
    text = shown(FINE)
    assert rows(text)[NEGATIVE] == ["30", "30", "ok"]
    assert rows(text)[OUTSIDE] == ["20", "20", "ok"]
    assert (
        "The window is from 2024-01-01 00:00:00 until 2024-02-01 00:00:00. It is set by the parameters pickup_from and pickup_to"
        in text
    )


def test_live_windows_and_counts_without_an_expectation_are_shown():
    view = LiveView(9_812, 23, "2024-01-31 22:30", [("Midtown Center", "Manhattan", 17, 300.5, 9.55)])
    expected = {place: 7 for place in PLACES if place != "late_trips"}
    outcome = replace(FINE, live=view, expected=expected)
    text = shown(outcome)
    assert "Live: 9,812 trips in windows of 15 minutes until 2024-01-31 22:30, 23 in open ones" in text
    assert rows(text)["Midtown Center"] == ["Manhattan", "17", "$300.50", "9.6 mph"]
    assert rows(text)["Live: late_trips"] == ["7", "-", ""]
    assert outcome.right


def test_the_window_is_not_shown_if_it_rejects_nothing():
    text = shown(replace(FINE, rejects={NEGATIVE: 1}, expected_rejects={NEGATIVE: 1}))
    assert "The window is" not in text


def test_without_rejected_trips_there_is_no_table():
    assert "rejected trips" not in shown(replace(FINE, rejects={}, expected_rejects={}))


def test_an_unexpected_reason_is_wrong():
    outcome = replace(FINE, rejects={NEGATIVE: 29, "other": 1, OUTSIDE: 20})
    found = rows(shown(outcome))
    assert (found[NEGATIVE], found["other"]) == (["29", "30", "WRONG"], ["1", "0", "WRONG"])
    assert not outcome.right


def test_half_of_the_trips_may_be_rejected():
    assert verdict(FINE, "make demo") is None


def test_mostly_rejected_trips_are_reported_with_the_next_step():
    line = verdict(OTHER_MONTH, "make demo PICKUP_FROM=auto")
    assert line == (
        "most trips were rejected, 51 of 100: 51 because tpep_pickup_datetime is outside the window "
        "from 2024-01-01 00:00:00 until 2024-02-01 00:00:00. Next: make demo PICKUP_FROM=auto"
    )
    assert "ok" not in {rest[-1] for rest in rows(shown(OTHER_MONTH)).values()}


def test_trips_rejected_for_another_reason_are_reported_with_the_command_to_show_them():
    outcome = replace(FINE, rejects={NEGATIVE: 60}, expected_rejects={NEGATIVE: 60})
    assert verdict(outcome, "make demo") == (
        "most trips were rejected, 60 of 100: 60 because fare_amount is negative. Next: make rejects shows the first ones"
    )


@pytest.mark.parametrize("change", [{"ledger_balanced": False}, {"rows": {}}, {"rejects": {}}])
def test_wrong_counts_have_precedence_over_rejected_trips(change):
    assert verdict(replace(OTHER_MONTH, **change), "make demo").startswith(
        "the counts or the ledger are not as they should be"
    )
