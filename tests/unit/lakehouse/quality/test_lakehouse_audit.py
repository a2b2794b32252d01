"""The audit reports exactly the missing, duplicated and altered rows of each layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal

import pytest
from lake import Lake
from pyiceberg.catalog.sql import SqlCatalog

from lakehouse.erasure import log as erasures
from lakehouse.erasure.log import Erasure
from lakehouse.gold.file import published_file
from lakehouse.pipelines.contract import read_contract
from lakehouse.pipelines.model import Pipeline
from lakehouse.pipelines.script import rules_version
from lakehouse.quality.audit import AuditReport, run_audit
from lakehouse.reconciliation.positions import Positions

TOPIC = "taxi.raw_trips"
SILVER = "silver.cleaned_trips"


@pytest.fixture
def lake() -> Lake:
    """Nine events in two partitions: trips, a duplicate in the other partition, a rejected trip, two rejected events."""
    lake = Lake()
    for number in range(4):
        lake.trip(number)
    lake.rejected_event(b"no JSON")
    lake.trip(10, partition=1)
    lake.rejected_event(None, partition=1)
    lake.duplicate(2, partition=1)
    lake.rejected_trip(partition=1, fare_amount="-1")
    lake.trip(11, partition=1)
    return lake


@pytest.fixture
def audit(lake: Lake, iceberg: SqlCatalog, send: Callable[..., None], taxi: Pipeline) -> Callable[..., AuditReport]:
    """Send the events, write the rows, and run the audit."""

    def audit(corrupt_gold: str = "", **bounds: object) -> AuditReport:
        for partition, events in lake.events.items():
            send(TOPIC, events, partition)
        lake.write(iceberg)
        lake.publish(iceberg, published_file(taxi), corrupt_gold)
        return run_audit(taxi, **{"settle_s": 0, **bounds})

    return audit


def found(report: AuditReport) -> list[tuple[str, str, str]]:
    """Layer, kind and place of all findings."""
    return [(layer.layer, finding.kind, finding.place) for layer in report.layers for finding in layer.findings]


def counts(report: AuditReport) -> dict[str, tuple[int, int, int]]:
    return {
        layer.layer: (layer.missing, layer.duplicated, layer.altered)
        for layer in report.layers
        if layer.missing or layer.duplicated or layer.altered
    }


def test_all_is_well(audit):
    report = audit()

    assert report.clean, str(report)
    assert [layer.checked for layer in report.layers] == [10, 8, 6]
    assert report.left_out == {"bronze": 0, "silver": 0, "gold": 0}
    assert str(report).splitlines()[-1].startswith("audit: clean")


def test_a_row_that_bronze_lost(lake, audit):
    lake.rows["bronze.raw_trips"].remove(lake.find("bronze.raw_trips", 0, 1))
    report = audit()
    assert found(report) == [
        ("bronze", "missing", "partition 0, offset 1"),
        ("silver", "duplicated", "partition 0, offset 1"),  # without a Bronze row
    ]
    assert counts(report) == {"bronze": (1, 0, 0), "silver": (0, 1, 0)}


class TestErased:
    @pytest.fixture(autouse=True)
    def logged(self, iceberg, taxi) -> None:
        """Event 1 of partition 0 was erased."""
        erasures.begin(Erasure(taxi.name, f"id of {TOPIC}", SILVER, Positions.of_offsets(0, [1]), "ticket 7"))

    def test_an_erased_event_is_not_missing(self, lake, audit):
        for table in ("bronze.raw_trips", SILVER):
            lake.rows[table].remove(lake.find(table, 0, 1))
        report = audit()
        assert report.clean, str(report)
        assert report.layers[0].left_out == {"erased on request (ops.erasures)": 1}
        assert report.layers[0].checked == 9

    def test_an_erased_event_in_a_table_is_surplus(self, lake, audit):
        assert found(audit()) == [("bronze", "duplicated", "partition 0, offset 1")]


def test_a_rejected_event_that_bronze_lost(lake, audit):
    lake.rows["bronze.rejected_events"].remove(lake.find("bronze.rejected_events", 1, 1))
    assert found(audit()) == [("bronze", "missing", "partition 1, offset 1")]


def test_a_row_that_bronze_duplicated(lake, audit):
    lake.rows["bronze.raw_trips"].append(lake.find("bronze.raw_trips", 1, 0))
    lake.rows["bronze.rejected_events"].append(lake.find("bronze.rejected_events", 0, 4))
    report = audit()
    assert found(report)[:2] == [
        ("bronze", "duplicated", "partition 0, offset 4"),
        ("bronze", "duplicated", "partition 1, offset 0"),
    ]
    assert report.duplicated["bronze"] == 2
    assert found(report)[2:] == [("silver", "missing", "partition 1, offset 0")]  # each Bronze row is processed once


@pytest.mark.parametrize(
    ("field", "value"),
    [("fare_amount", "20.0"), ("Airport_fee", "null"), ("Airport_fee", ""), ("VendorID", None), ("DOLocationID", "2")],
)
def test_a_value_that_bronze_altered(lake, audit, field, value):
    lake.find("bronze.raw_trips", 0, 3)[field] = value
    report = audit()
    assert found(report)[0] == ("bronze", "altered", "partition 0, offset 3")
    assert report.altered["bronze"] == 1
    assert report.layers[0].findings[0].details.startswith(f"{field} is {value!r} instead of ")


def test_a_payload_that_bronze_altered(lake, audit):
    lake.find("bronze.rejected_events", 0, 4)["payload"] = b"no json"
    report = audit()
    assert found(report) == [("bronze", "altered", "partition 0, offset 4")]
    assert "b'no json' instead of b'no JSON'" in report.layers[0].findings[0].details


def test_an_event_in_both_tables_of_bronze_is_duplicated(lake, audit):
    place = {"kafka_partition": 0, "kafka_offset": 2}
    lake.rows["bronze.rejected_events"].append({"payload": lake.events[0][2], "reason": "?", **place})
    report = audit()
    assert ("bronze", "duplicated", "partition 0, offset 2") in found(report)
    assert report.duplicated == {"bronze": 1, "silver": 0, "gold": 0}


def test_rows_without_an_event_are_duplicated(lake, audit):
    row = {**lake.find("bronze.raw_trips", 0, 2), "kafka_offset": 99}
    lake.rows["bronze.raw_trips"].append(row)
    assert ("bronze", "duplicated", "partition 0, offset 99") in found(audit())


def test_a_trip_that_silver_lost(lake, audit):
    lake.rows["silver.cleaned_trips"].remove(lake.find("silver.cleaned_trips", 0, 1))
    assert found(audit()) == [("silver", "missing", "partition 0, offset 1")]


def test_a_duplicate_does_not_compensate_for_a_lost_trip(lake, audit):
    lake.rows["silver.cleaned_trips"].remove(lake.find("silver.cleaned_trips", 0, 2))
    report = audit()
    assert found(report) == [("silver", "missing", "partition 0, offset 2")]
    assert report.missing["silver"] == 1


def test_a_trip_that_silver_treated_as_a_duplicate(lake, audit):
    """Both of its events are duplicates, and no row is the trip."""
    trip = lake.find("silver.cleaned_trips", 0, 2)
    lake.rows["silver.cleaned_trips"].remove(trip)
    lake.rows["silver.duplicate_trips"].append({name: trip[name] for name in lake.rows["silver.duplicate_trips"][0]})
    report = audit()
    assert found(report) == [("silver", "missing", f"partition 0, offset 2, trip_id {trip['trip_id']}")]


@pytest.mark.parametrize("table", ["rejected_trips", "duplicate_trips"])
def test_other_rows_that_silver_lost(lake, audit, table):
    offset = {"rejected_trips": 3, "duplicate_trips": 2}[table]
    lake.rows[f"silver.{table}"].remove(lake.find(f"silver.{table}", 1, offset))
    assert found(audit()) == [("silver", "missing", f"partition 1, offset {offset}")]


@pytest.mark.parametrize(
    ("table", "partition", "offset"), [("cleaned_trips", 0, 0), ("rejected_trips", 1, 3), ("duplicate_trips", 1, 2)]
)
def test_a_row_that_silver_duplicated(lake, audit, table, partition, offset):
    lake.rows[f"silver.{table}"].append(lake.find(f"silver.{table}", partition, offset))
    report = audit(corrupt_gold="DELETE FROM fct_trips; CHECKPOINT" if table == "cleaned_trips" else "")
    assert found(report)[0] == ("silver", "duplicated", f"partition {partition}, offset {offset}")
    assert report.duplicated["silver"] == 1


def test_a_duplicate_that_silver_treated_as_a_trip(lake, audit):
    """Partitions are read concurrently: either of the two may be the first, but not both."""
    duplicate = lake.rows["silver.duplicate_trips"].pop()
    second = lake.find("silver.cleaned_trips", 0, 2) | duplicate
    lake.rows["silver.cleaned_trips"].append(second)
    report = audit()
    assert found(report)[0] == ("silver", "duplicated", f"partition 1, offset 2, trip_id {second['trip_id']}")
    assert report.duplicated["silver"] == 1


def test_the_other_one_may_be_the_first(lake, audit):
    first, second = lake.find("silver.cleaned_trips", 0, 2), lake.find("silver.duplicate_trips", 1, 2)
    for name in ("kafka_partition", "kafka_offset"):
        first[name], second[name] = second[name], first[name]
    assert audit().clean


def test_a_trip_may_be_accepted_again_after_its_state_has_expired(lake, audit, monkeypatch, taxi):
    duplicate = lake.rows["silver.duplicate_trips"].pop()
    second = lake.find("silver.cleaned_trips", 0, 2) | duplicate
    second["processed_at"] += timedelta(days=7)
    lake.rows["silver.cleaned_trips"].append(second)
    report = audit()
    assert report.duplicated == {"bronze": 0, "silver": 0, "gold": 0}
    monkeypatch.setenv("PIPELINE_NYC_TAXI_DEDUP_RETENTION", "8 d")
    assert run_audit(taxi, settle_s=0).duplicated["silver"] == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "field", [name for name in Lake().trip(0) if "_at" not in name and not name.startswith("kafka")]
)
def test_each_value_of_a_trip_is_compared(lake, audit, field):
    lake.find("silver.cleaned_trips", 0, 3)[field] = None
    report = audit()
    if field == "airport_fee":
        assert report.clean
        return
    assert ("silver", "altered", "partition 0, offset 3") in found(report)
    assert report.altered["silver"] == 1
    assert f"{field} is None instead of " in report.layers[1].findings[0].details


def test_a_cent_and_a_microsecond_are_differences(lake, audit):
    lake.find("silver.cleaned_trips", 0, 3)["tip_amount"] *= 2
    lake.find("silver.cleaned_trips", 0, 1)["pickup_datetime"] += timedelta(microseconds=1)
    assert [place for layer, kind, place in found(audit()) if (layer, kind) == ("silver", "altered")] == [
        "partition 0, offset 1",
        "partition 0, offset 3",
    ]


def test_a_rejected_row_that_silver_altered(lake, audit):
    lake.find("silver.rejected_trips", 1, 3)["extra"] = "0"
    assert found(audit()) == [("silver", "altered", "partition 1, offset 3")]


def test_a_valid_trip_among_the_rejected_is_altered(lake, audit):
    trip = lake.find("silver.cleaned_trips", 1, 4)
    lake.rows["silver.cleaned_trips"].remove(trip)
    raw = lake.find("bronze.raw_trips", 1, 4)
    lake.rows["silver.rejected_trips"].append({**raw, "reason": "bad luck", "processed_at": trip["processed_at"]})
    lake.rows["silver.rejected_trips"][-1].pop("ingested_at")
    report = audit()
    assert found(report) == [("silver", "altered", "partition 1, offset 4")]
    assert report.layers[1].findings[0].details == (
        "is in silver.rejected_trips (bad luck) instead of silver.cleaned_trips or silver.duplicate_trips"
    )


def test_rows_that_gold_lost_duplicated_or_altered(lake, audit):
    first, second, third = (lake.find("silver.cleaned_trips", 0, offset)["trip_id"] for offset in range(3))
    report = audit(
        corrupt_gold=f"""
        DELETE FROM fct_trips WHERE trip_id = '{first}';
        INSERT INTO fct_trips FROM fct_trips WHERE trip_id = '{second}';
        UPDATE fct_trips SET tip_amount = tip_amount + 0.01 WHERE trip_id = '{third}';
        INSERT INTO fct_trips SELECT * REPLACE ('nobody knows' AS trip_id) FROM fct_trips WHERE trip_id = '{third}'
        """
    )
    assert sorted(found(report)) == sorted(
        [
            ("gold", "altered", f"trip_id {third}"),
            ("gold", "duplicated", f"trip_id {second}"),
            ("gold", "duplicated", "trip_id nobody knows"),
            ("gold", "missing", f"trip_id {first}"),
        ]
    )


def test_an_unlisted_code_is_unknown_in_gold(lake, audit):
    lake.rows["bronze.raw_trips"].remove(lake.find("bronze.raw_trips", 1, 4))
    trip = lake.rows["silver.cleaned_trips"].pop()
    trip["vendor_id"] = 300
    lake.rows["silver.cleaned_trips"].append(trip)
    assert audit().layers[2].altered == 0


def test_trips_after_the_gold_build_are_left_out(lake, audit, iceberg, taxi):
    audit()
    later = Lake()
    later.rows["silver.cleaned_trips"] = [lake.find("silver.cleaned_trips", 0, 1)]
    later.write(iceberg)
    gold = run_audit(taxi, settle_s=0).layers[2]
    assert (gold.checked, gold.missing, gold.left_out) == (6, 0, {"in silver.cleaned_trips since Gold was built": 1})


def test_without_gold_its_rows_are_left_out(audit, taxi):
    audit()
    published_file(taxi).unlink()
    gold = run_audit(taxi, settle_s=0).layers[2]
    reason = "it is not published, or does not record its version of silver.cleaned_trips: run nyc_taxi_pipeline"
    assert gold.left_out == {reason: 6}


def test_events_after_the_last_arrival_are_in_flight(lake, audit, taxi):
    lake.rows["bronze.raw_trips"].remove(lake.find("bronze.raw_trips", 1, 4))
    lake.rows["silver.cleaned_trips"].remove(lake.find("silver.cleaned_trips", 1, 4))
    lake.rows["silver.rejected_trips"].remove(lake.find("silver.rejected_trips", 1, 3))
    report = audit()
    assert report.clean
    assert report.left_out == {"bronze": 1, "silver": 1, "gold": 0}
    assert [layer.checked for layer in report.layers] == [9, 6, 5]
    report = run_audit(taxi, at_rest=True)
    assert found(report) == [
        ("bronze", "missing", "partition 1, offset 4"),
        ("silver", "missing", "partition 1, offset 3"),
    ]


def test_overtaken_rows_are_in_flight_for_some_time(lake, audit, iceberg, monkeypatch):
    late = lake.find("bronze.rejected_events", 0, 4)
    lake.trip(12)
    lake.rows["bronze.rejected_events"].remove(late)
    later = Lake()
    later.rows["bronze.rejected_events"] = [late]

    from lakehouse.quality.audit import in_flight

    looked = in_flight.wait_until
    monkeypatch.setattr(
        in_flight, "wait_until", lambda *args, **kwargs: (later.write(iceberg), looked(*args, **kwargs))
    )
    report = audit(settle_s=10)
    assert report.clean, str(report)
    assert report.layers[0].left_out == {"arrived while the audit ran": 1}


def test_a_table_that_is_empty(lake, audit):
    lake.rows["bronze.rejected_events"].clear()
    assert {kind for _, kind, _ in found(audit(at_rest=True))} == {"missing"}


def test_bounds(lake, audit, taxi):
    lake.rows["silver.cleaned_trips"].remove(lake.find("silver.cleaned_trips", 0, 0))
    lake.rows["bronze.raw_trips"].remove(lake.find("bronze.raw_trips", 0, 1))
    whole = [
        ("bronze", "missing", "partition 0, offset 1"),
        ("silver", "duplicated", "partition 0, offset 1"),
        ("silver", "missing", "partition 0, offset 0"),
    ]
    assert found(audit(partition=0)) == whole
    assert run_audit(taxi, partition=1, settle_s=0).clean
    assert run_audit(taxi, partition=0, first_offset=2, settle_s=0).clean
    assert found(run_audit(taxi, last_offset=1, settle_s=0)) == whole
    # No row within the bounds has arrived, but later ones have.
    assert found(run_audit(taxi, partition=0, first_offset=0, last_offset=0, settle_s=0)) == whole[-1:]
    assert run_audit(taxi, since_ms=4_102_444_800_000, settle_s=0).layers[0].checked == 0


def test_the_first_of_many_are_listed(lake, audit):
    for _ in range(30):
        lake.rejected_event(b"once more")
    lake.rows["bronze.rejected_events"] = lake.rows["bronze.rejected_events"][:2]
    lake.trip(20)
    report = audit()
    assert report.missing["bronze"] == 30
    assert [finding.place for finding in report.layers[0].findings] == [
        f"partition 0, offset {n}" for n in range(5, 25)
    ]


def test_a_new_field_of_the_contract_is_compared(taxi, iceberg, send, tmp_path):
    """It is only declared in the contract."""
    declared = json.loads(taxi.contract.text)
    declared["properties"]["cbd_congestion_fee"] = {"type": ["number", "null"], "x-type": "DECIMAL(10, 2)"}
    (tmp_path / "with_fee.json").write_text(json.dumps(declared))
    pipeline = taxi.model_copy(update={"contract": read_contract(tmp_path / "with_fee.json")})
    lake = Lake(new_field="cbd_congestion_fee")
    for number in range(4):
        lake.trip(number)
    lake.rejected_trip(cbd_congestion_fee='"a lot"')
    lake.rejected_trip(cbd_congestion_fee='"too much"')
    lake.find("bronze.raw_trips", 0, 1)["cbd_congestion_fee"] = "0.75"
    lake.find("silver.cleaned_trips", 0, 2)["cbd_congestion_fee"] = Decimal("0.74")
    lake.find("silver.rejected_trips", 0, 5)["cbd_congestion_fee"] = None
    send(TOPIC, lake.events[0])
    lake.write(iceberg)
    fewer = lake.find("silver.cleaned_trips", 0, 3)["trip_id"]
    corrupt = f"UPDATE fct_trips SET cbd_congestion_fee = 0 WHERE trip_id = '{fewer}'"
    lake.publish(iceberg, published_file(pipeline), corrupt)
    report = run_audit(pipeline, settle_s=0)
    assert found(report) == [
        ("bronze", "altered", "partition 0, offset 1"),
        ("silver", "altered", "partition 0, offset 2"),
        ("silver", "altered", "partition 0, offset 5"),
        ("gold", "altered", f"trip_id {fewer}"),
    ]
    details = [finding.details for layer in report.layers for finding in layer.findings]
    assert all(text.startswith("cbd_congestion_fee is ") for text in details), details


def test_it_can_be_written_as_json(lake, audit):
    lake.rows["bronze.raw_trips"].remove(deepcopy(lake.find("bronze.raw_trips", 0, 1)))
    report = json.loads(json.dumps(audit().as_dict()))
    assert report["clean"] is False
    assert report["layers"][0]["missing"] == 1
    assert report["layers"][0]["findings"][0]["place"] == "partition 0, offset 1"


class TestEarlierRules:
    """A row of earlier rules is not an error: it is counted, with the result of the current rules."""

    EVALUATED = "evaluated by earlier rules; "
    NEXT = "Next: if that matters, trigger the DAG replay with from_stage nyc_taxi.silver"

    @pytest.fixture
    def narrower(self, taxi: Pipeline, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> str:
        """The pickup window ends before the later trips of the lake; returns the earlier version of the rules."""
        before = rules_version(taxi, taxi.stages["silver"])
        monkeypatch.setenv("PIPELINE_NYC_TAXI_PICKUP_TO", "2024-01-15 10:05:00")
        lake.rules_version = rules_version(taxi, taxi.stages["silver"])
        assert lake.rules_version != before
        return before

    def test_rows_that_todays_rules_would_reject(self, lake, audit, narrower):
        for trip in (lake.find("silver.cleaned_trips", 1, 0), lake.find("silver.cleaned_trips", 1, 4)):
            trip["rules_version"] = narrower
        report = audit()
        message = (
            f"{self.EVALUATED}today's would put a row of silver.cleaned_trips into silver.rejected_trips. {self.NEXT}"
        )
        assert report.clean, str(report)
        assert report.layers[1].left_out == {message: 2}
        assert report.layers[1].checked == 6

    def test_rows_without_a_version_of_the_rules(self, lake, audit, narrower):
        lake.find("silver.cleaned_trips", 1, 0)["rules_version"] = None
        lake.find("silver.cleaned_trips", 1, 4)["rules_version"] = None
        assert audit().left_out["silver"] == 2

    def test_a_wrong_row_of_the_current_rules_is_an_error(self, lake, audit, narrower):
        lake.find("silver.cleaned_trips", 1, 0)["rules_version"] = narrower
        assert found(audit()) == [("silver", "altered", "partition 1, offset 4")]

    def test_a_row_with_the_same_result_is_checked(self, lake, audit, taxi):
        lake.rules_version = "earlier"
        assert audit().left_out["silver"] == 0

    def test_a_missing_row_is_an_error_by_any_rules(self, lake, audit):
        lake.rules_version = "earlier"
        lake.rows["silver.cleaned_trips"].remove(lake.find("silver.cleaned_trips", 0, 1))
        assert counts(audit()) == {"silver": (1, 0, 0)}

    def test_other_values(self, lake, audit):
        lake.rules_version = "earlier"
        lake.find("silver.cleaned_trips", 0, 1)["trip_duration_minutes"] = 21.0
        message = f"{self.EVALUATED}today's would give a row of silver.cleaned_trips other values. {self.NEXT}"
        assert audit().layers[1].left_out == {message: 1}

    def test_a_second_row_that_a_shorter_retention_accepted(self, lake, audit):
        """The state of its key had expired; by the current rules it would be a duplicate."""
        lake.rules_version = "earlier"
        second = lake.find("silver.duplicate_trips", 1, 2)
        lake.rows["silver.duplicate_trips"].remove(second)
        first = lake.find("silver.cleaned_trips", 0, 2)
        lake.rows["silver.cleaned_trips"].append({**first, **second})
        message = f"{self.EVALUATED}today's would treat a row of silver.cleaned_trips as a duplicate. {self.NEXT}"
        report = audit(at_rest=True)
        assert report.layers[1].left_out == {message: 1}, str(report)
