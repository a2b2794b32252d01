"""Each event is in one place: what the counts say, in words too."""

from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.ledger import Ledger, read_ledger

EVEN = Ledger(kafka=10_000, bronze=9_990, rejected_events=10, silver=9_800, rejected_trips=150, duplicates=40)


def test_balanced():
    assert EVEN.balanced
    assert EVEN.errors == []
    assert replace(EVEN, fct_trips=9_800).balanced


@pytest.mark.parametrize(
    ("change", "in_flight", "words"),
    [
        ({"kafka": 10_007}, (7, 0), "rows in flight"),
        ({"bronze": 9_995, "kafka": 10_005}, (0, 5), "rows in flight"),
        ({"fct_trips": 9_799}, (0, 0), "rows in flight"),
        ({"kafka": 8_999}, (-1_001, 0), "Bronze holds 1,001 rows more than Kafka has events"),
        ({"silver": 11_034}, (0, -1_234), "Silver holds 1,234 rows more than Bronze"),
        ({"duplicates": 41}, (0, -1), "Silver holds 1 rows more than Bronze"),
        ({"fct_trips": 9_801}, (0, 0), "fct_trips holds 1 rows more than Silver"),
        (
            {"rejected_events": 12, "rejected_trips": 151},
            (-2, -1),
            "Bronze holds 2 rows more than Kafka has events; Silver holds 1 rows more than Bronze",
        ),
    ],
)
def test_what_does_not_add_up(change, in_flight, words):
    ledger = replace(EVEN, **change)
    assert not ledger.balanced
    assert (ledger.bronze_in_flight, ledger.silver_in_flight) == in_flight
    assert "; ".join(ledger.errors) == ("" if words == "rows in flight" else words)
    assert str(ledger).splitlines()[-1] == f"ledger: {words}"


def test_doubled_rows_are_not_made_good_by_missing_ones():
    """A place that has too many and one that has too few are two findings, not none."""
    ledger = replace(EVEN, kafka=9_999, bronze=9_990, silver=9_799)
    assert (ledger.bronze_in_flight, ledger.silver_in_flight) == (-1, 1)
    assert not ledger.balanced
    assert ledger.errors == ["Bronze holds 1 rows more than Kafka has events"]


def test_it_prints_every_place():
    lines = str(replace(EVEN, fct_trips=9_800)).splitlines()
    places = {tuple(line.split()[:-1]): line.split()[-1] for line in lines[1:-1]}
    assert places["Kafka", "events"] == "10,000"
    assert places["Silver", "duplicate_trips"] == "40"
    assert places["Gold", "fct_trips"] == "9,800"
    assert lines[-1] == "ledger: balanced"
    assert str(EVEN).splitlines()[-2].split() == ["Gold", "fct_trips", "-"]


def test_it_counts_kafka_and_the_tables(fill, send):
    counts = {
        "bronze.raw_trips": 6,
        "bronze.rejected_events": 1,
        "silver.cleaned_trips": 3,
        "silver.rejected_trips": 2,
        "silver.duplicate_trips": 0,
    }
    for name, rows in counts.items():
        fill(name, rows)
    send("trips", 8)
    assert read_ledger("trips", fct_trips=2) == Ledger(8, 6, 1, 3, 2, 0, 2)


def test_a_table_that_is_missing_is_named(fill, send):
    fill("silver.cleaned_trips", 1)
    with pytest.raises(AirflowException, match=r"silver\.rejected_trips does not exist.*flink_jobs"):
        read_ledger("trips")
