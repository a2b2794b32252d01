"""Each event is in exactly one place: the ledger's counts by stage, and its text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.load import get_pipeline
from lakehouse.pipelines.model import Pipeline
from lakehouse.quality.ledger import Ledger, PartitionLedger, StageLedger, read_ledger

TAXI = get_pipeline("nyc_taxi")
#: By partition: events, accepted, rejected.
PARTITIONS = ((6_000, 5_995, 5), (4_000, 3_995, 5))


def ledger(*partitions: tuple[int, int, int], fact_rows: int | None = None, surplus: int = 0, **silver: int) -> Ledger:
    """A pipeline's ledger; in Silver there are `surplus` rows, and missing ones are in flight."""
    found = {
        number: PartitionLedger(events, {"accepted": accepted, "rejected": rejected}, events - accepted - rejected)
        for number, (events, accepted, rejected) in enumerate(partitions or PARTITIONS)
    }
    bronze = StageLedger(TAXI.stages["bronze"], found, TAXI.topic.name)
    rows = bronze.rows["accepted"]
    sinks = {"accepted": 9_800, "rejected": 150, "duplicate": 40} | silver
    in_flight = rows + surplus - sum(sinks.values())
    typed = {0: PartitionLedger(rows, sinks, in_flight, surplus)}
    at = "partition 0: offsets 7" if surplus else ""
    return Ledger(TAXI, (bronze, StageLedger(TAXI.stages["silver"], typed, surplus_at=at)), fact_rows)


def test_balanced():
    even = ledger()
    assert even.balanced
    assert even.errors == []
    assert even.events == 10_000
    assert (even.rows("bronze.raw_trips"), even.rows("bronze.rejected_events")) == (9_990, 10)
    assert (even.rows("silver.cleaned_trips"), even["silver"].rows["duplicate"]) == (9_800, 40)
    assert replace(even, fact_rows=9_800).balanced
    assert replace(even, fact_rows=9_790, late_duplicates=10).balanced


@pytest.mark.parametrize(
    ("found", "in_flight", "words"),
    [
        (ledger((6_007, 5_995, 5), (4_000, 3_995, 5)), (7, 0), "rows in flight"),
        (ledger((6_000, 5_995, 5), (4_005, 4_000, 5)), (0, 5), "rows in flight"),
        (ledger(fact_rows=9_799), (0, 0), "rows in flight"),
        (
            ledger(accepted=11_034, surplus=1_234),
            (0, 0),
            "nyc_taxi.silver has 1,234 rows more than bronze.raw_trips (partition 0: offsets 7)",
        ),
        # As many are missing as are surplus: the sum is right.
        (
            ledger(surplus=1),
            (0, 1),
            "nyc_taxi.silver has 1 row more than bronze.raw_trips (partition 0: offsets 7)",
        ),
        (ledger(fact_rows=9_801), (0, 0), "fct_trips of nyc_taxi has 1 row more than silver.cleaned_trips"),
        (
            replace(ledger(fact_rows=9_800), late_duplicates=1),
            (0, 0),
            "fct_trips of nyc_taxi has 1 row more than silver.cleaned_trips",
        ),
    ],
)
def test_imbalances(found, in_flight, words):
    assert not found.balanced
    assert (found["bronze"].in_flight, found["silver"].in_flight) == in_flight
    assert "; ".join(found.errors) == ("" if words == "rows in flight" else words)
    assert str(found).splitlines()[-1] == f"ledger: {words}"


def test_it_prints_every_partition_and_table():
    lines = str(replace(ledger(fact_rows=9_797), late_duplicates=3)).splitlines()
    bronze, silver, gold, _ = "\n".join(lines).split("\n\n")
    assert [line.split() for line in bronze.splitlines()] == [
        ["nyc_taxi.bronze", "taxi.raw_trips", "bronze.raw_trips", "bronze.rejected_events", "in", "flight"],
        ["0", "6,000", "5,995", "5", "0"],
        ["1", "4,000", "3,995", "5", "0"],
        ["all", "10,000", "9,990", "10", "0"],
    ]
    assert silver.splitlines()[0].split()[:2] == ["nyc_taxi.silver", "bronze.raw_trips"]
    assert silver.splitlines()[2].split() == ["all", "9,990", "9,800", "150", "40", "0"]
    assert [line.split() for line in gold.splitlines()] == [
        ["gold", "silver.cleaned_trips", "fct_trips", "late", "duplicates", "in", "flight"],
        ["all", "9,800", "9,797", "3", "0"],
    ]
    assert lines[-1] == "ledger: balanced"
    assert str(ledger()).splitlines()[-3].split() == ["all", "9,800", "-", "-", "-"]


def test_as_json():
    found = replace(ledger((6_007, 5_995, 5), (4_000, 3_995, 5), fact_rows=9_798), late_duplicates=2)
    reported = json.loads(json.dumps(found.as_dict()))
    assert (reported["events"], reported["balanced"], reported["errors"]) == (10_007, False, [])
    assert (reported["fact_rows"], reported["late_duplicates"]) == (9_798, 2)
    assert reported["stages"]["bronze"]["partitions"]["0"] == {
        "source_rows": 6_007,
        "rows": {"accepted": 5_995, "rejected": 5},
        "in_flight": 7,
        "surplus": 0,
        "lost": 0,
        "erased": 0,
    }
    assert reported["stages"]["silver"]["source"] == "bronze.raw_trips"


def test_it_counts_kafka_and_the_tables(taxi, fill, send):
    fill("bronze.raw_trips", 6, partition=0)
    fill("bronze.raw_trips", 1, partition=2)
    fill("bronze.raw_trips", 2, partition=0)
    fill("bronze.rejected_events", 0)
    for name, rows in {"cleaned_trips": 3, "rejected_trips": 2, "duplicate_trips": 0}.items():
        fill(f"silver.{name}", rows)
    send("taxi.raw_trips", 9, partition=0)
    send("taxi.raw_trips", 1, partition=2)
    found = read_ledger(taxi, fact_rows=2)
    with_rows = {number: row for number, row in found["bronze"].partitions.items() if row.source}
    assert with_rows == {
        0: PartitionLedger(9, {"accepted": 8, "rejected": 0}, in_flight=1),
        2: PartitionLedger(1, {"accepted": 1, "rejected": 0}),
    }
    assert (found.events, found["bronze"].rows) == (10, {"accepted": 9, "rejected": 0})
    assert found["silver"].partitions == {
        0: PartitionLedger(8, {"accepted": 3, "rejected": 2, "duplicate": 0}, in_flight=3),
        2: PartitionLedger(1, {"accepted": 0, "rejected": 0, "duplicate": 0}, in_flight=1),
    }
    assert found.fact_rows == 2


def test_a_missing_table_is_reported(taxi, fill, send):
    for name in ("bronze.raw_trips", "bronze.rejected_events", "silver.cleaned_trips", "silver.duplicate_trips"):
        fill(name, 1)
    send("taxi.raw_trips", 2)
    with pytest.raises(AirflowException, match=r"silver\.rejected_trips does not exist.*flink_jobs"):
        read_ledger(taxi)


def test_concurrent_rows_look_in_flight(taxi, fill, send, monkeypatch):
    """An event that passes all stages while tables are read may look missing in a table, but never surplus."""
    for table in taxi.tables:
        fill(table, 0)
    load, end_offsets = IcebergCatalogHook.lazy_table, TopicHook.end_offsets

    def pass_through() -> None:
        send("taxi.raw_trips", 1, partition=0)
        fill("bronze.raw_trips", 1)
        fill("silver.cleaned_trips", 1)

    monkeypatch.setattr(IcebergCatalogHook, "lazy_table", lambda hook, name: pass_through() or load(hook, name))
    monkeypatch.setattr(TopicHook, "end_offsets", lambda hook: pass_through() or end_offsets(hook))
    found = read_ledger(taxi)
    assert found.errors == []
    assert (found["bronze"].in_flight, found["silver"].in_flight) == (2, 3)


def pipeline(stages: Mapping[str, dict], gold: dict | None = None) -> Pipeline:
    """A pipeline with other tables in the taxi pipeline's namespaces."""
    declared = {name: {"sql": "any.sql", **stage} for name, stage in stages.items()}
    return Pipeline.model_validate(
        {
            "name": "meters",
            "title": "Meter readings",
            "topic": {"name": "meter.readings", "contract": "meters.json"},
            "stages": declared,
            "gold": gold,
            "contract": TAXI.contract,
        }
    )


def test_three_stages_with_other_roles(fill, send):
    """Two stages read the same table, names differ from namespaces, and these contain another pipeline's tables."""
    meters = pipeline(
        {
            "split": {"source": "topic", "sinks": {"late": "bronze.late_meters", "valid": "bronze.meters"}},
            "typed": {"source": "bronze.meters", "sinks": {"accepted": "silver.meters"}},
            "alarms": {"source": "bronze.meters", "sinks": {"high": "meters.high", "low": "meters.low"}},
        }
    )
    counts = {"bronze.meters": 5, "bronze.late_meters": 2, "silver.meters": 6, "meters.high": 1, "meters.low": 3}
    for table, rows in counts.items():
        fill(table, rows)
    fill("bronze.raw_trips", 50)
    send("meter.readings", 7)
    found = read_ledger(meters)
    assert {stage.stage.name: stage.in_flight for stage in found.stages} == {"split": 0, "typed": 0, "alarms": 1}
    assert found.errors == ["meters.typed has 1 row more than bronze.meters (partition 0: offsets 5)"]
    assert {table: found.rows(table) for table in counts} == counts
    assert str(found).endswith("ledger: meters.typed has 1 row more than bronze.meters (partition 0: offsets 5)")
    assert "gold" not in str(found)


def test_gold_of_any_stage(fill, send):
    """Gold may read the table of any stage, not only of the last one."""
    meters = pipeline(
        {
            "split": {"source": "topic", "sinks": {"valid": "bronze.meters"}},
            "typed": {"source": "bronze.meters", "sinks": {"accepted": "silver.meters"}},
        },
        {"fact": "readings", "source": "bronze.meters"},
    )
    fill("bronze.meters", 5)
    fill("silver.meters", 4)
    send("meter.readings", 5)
    assert read_ledger(meters, fact_rows=6).errors == ["readings of meters has 1 row more than bronze.meters"]
    assert read_ledger(meters, fact_rows=5).verdict == "rows in flight"
    deleted_since = read_ledger(meters, fact_rows=6, built_from_rows=6)
    assert (deleted_since.errors, deleted_since.balanced) == ([], False)
    assert deleted_since.verdict == "rows in flight; Gold contains 1 deleted rows until its next run"
    assert read_ledger(meters, fact_rows=7, built_from_rows=6).errors
