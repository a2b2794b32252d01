"""Each event is in one place: what the counts say, in words too."""

from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.quality.ledger import Ledger, PartitionLedger, read_ledger

EVEN = Ledger(
    {0: PartitionLedger(6_000, 5_995, 5), 1: PartitionLedger(4_000, 3_995, 5)},
    silver=9_800,
    rejected_trips=150,
    duplicates=40,
)


def with_partitions(*rows: tuple[int, int, int]) -> Ledger:
    return replace(EVEN, partitions={number: PartitionLedger(*row) for number, row in enumerate(rows)})


def test_balanced():
    assert EVEN.balanced
    assert EVEN.errors == []
    assert (EVEN.kafka, EVEN.bronze, EVEN.rejected_events) == (10_000, 9_990, 10)
    assert replace(EVEN, fct_trips=9_800).balanced


@pytest.mark.parametrize(
    ("ledger", "in_flight", "words"),
    [
        (with_partitions((6_007, 5_995, 5), (4_000, 3_995, 5)), (7, 0), "rows in flight"),
        (with_partitions((6_000, 5_995, 5), (4_005, 4_000, 5)), (0, 5), "rows in flight"),
        (replace(EVEN, fct_trips=9_799), (0, 0), "rows in flight"),
        (
            with_partitions((6_000, 5_995, 5), (2_999, 3_995, 5)),
            (-1_001, 0),
            "Bronze holds 1,001 rows more than Kafka has events in partition 1",
        ),
        (replace(EVEN, silver=11_034), (0, -1_234), "Silver holds 1,234 rows more than Bronze"),
        (replace(EVEN, duplicates=41), (0, -1), "Silver holds 1 rows more than Bronze"),
        (replace(EVEN, fct_trips=9_801), (0, 0), "fct_trips holds 1 rows more than Silver"),
        (
            replace(with_partitions((6_000, 5_995, 7), (4_000, 3_995, 5)), rejected_trips=151),
            (-2, -1),
            "Bronze holds 2 rows more than Kafka has events in partition 0; Silver holds 1 rows more than Bronze",
        ),
    ],
)
def test_what_does_not_add_up(ledger, in_flight, words):
    assert not ledger.balanced
    assert (ledger.bronze_in_flight, ledger.silver_in_flight) == in_flight
    assert "; ".join(ledger.errors) == ("" if words == "rows in flight" else words)
    assert str(ledger).splitlines()[-1] == f"ledger: {words}"


def test_doubled_rows_of_one_partition_are_not_made_good_by_those_that_another_lacks():
    """The sum of both is even: only the partitions show it."""
    ledger = with_partitions((6_000, 6_002, 5), (4_000, 3_988, 5))
    assert (ledger.bronze_in_flight, ledger.silver_in_flight) == (0, 0)
    assert not ledger.balanced
    assert ledger.errors == ["Bronze holds 7 rows more than Kafka has events in partition 0"]


def test_rows_of_a_partition_that_kafka_does_not_have_are_too_many():
    assert with_partitions((10_000, 9_980, 10), (0, 10, 0)).errors == [
        "Bronze holds 10 rows more than Kafka has events in partition 1"
    ]


def test_doubled_rows_are_not_made_good_by_missing_ones_of_the_next_layer():
    ledger = replace(with_partitions((5_999, 5_995, 5), (4_000, 3_995, 5)), silver=9_799)
    assert (ledger.bronze_in_flight, ledger.silver_in_flight) == (-1, 1)
    assert not ledger.balanced
    assert ledger.errors == ["Bronze holds 1 rows more than Kafka has events in partition 0"]


def test_it_prints_every_partition_and_place():
    lines = str(replace(EVEN, fct_trips=9_800)).splitlines()
    assert lines[1].split() == ["0", "6,000", "5,995", "5", "0"]
    assert lines[2].split() == ["1", "4,000", "3,995", "5", "0"]
    assert lines[3].split() == ["all", "10,000", "9,990", "10", "0"]
    places = {tuple(line.split()[:-1]): line.split()[-1] for line in lines[6:-1]}
    assert places["Silver", "duplicate_trips"] == "40"
    assert places["Gold", "fct_trips"] == "9,800"
    assert lines[-1] == "ledger: balanced"
    assert str(EVEN).splitlines()[-2].split() == ["Gold", "fct_trips", "-"]


def test_it_counts_kafka_and_the_tables(fill, send):
    fill("bronze.raw_trips", 6, partition=0)
    fill("bronze.raw_trips", 1, partition=2)
    fill("bronze.raw_trips", 2, partition=0)
    fill("bronze.rejected_events", 0)
    for name, rows in {"cleaned_trips": 3, "rejected_trips": 2, "duplicate_trips": 0}.items():
        fill(f"silver.{name}", rows)
    send("trips", 9, partition=0)
    send("trips", 1, partition=2)
    ledger = read_ledger("trips", fct_trips=2)
    with_rows = {number: row for number, row in ledger.partitions.items() if row.kafka}
    assert with_rows == {0: PartitionLedger(9, 8, 0), 2: PartitionLedger(1, 1, 0)}
    assert replace(ledger, partitions={}) == Ledger({}, 3, 2, 0, 2)


def test_a_table_that_is_missing_is_named(fill, send):
    fill("silver.cleaned_trips", 1)
    with pytest.raises(AirflowException, match=r"silver\.rejected_trips does not exist.*flink_jobs"):
        read_ledger("trips")
