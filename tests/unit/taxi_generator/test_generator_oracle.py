"""The oracle applies Silver's rules, and computes the same trip ids as Flink."""

import hashlib
import re
from csv import DictReader
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from lakehouse.pipelines.load import get_pipeline
from lakehouse.pipelines.script import stage_script
from lakehouse.pipelines.statements import statements
from taxi_generator import GeneratorError, oracle
from taxi_generator.events import COLUMNS, arrow_type
from taxi_generator.files import TripFile
from taxi_generator.oracle import Oracle
from taxi_generator.pipeline import OUTSIDE

JANUARY = datetime(2024, 1, 1), datetime(2024, 2, 1)
GOOD = {
    "VendorID": 2, "tpep_pickup_datetime": datetime(2024, 1, 1, 0, 57, 55),
    "tpep_dropoff_datetime": datetime(2024, 1, 1, 1, 17, 43), "trip_distance": 1.72, "PULocationID": 186,
    "DOLocationID": 79, "fare_amount": 17.7, "total_amount": 22.7,
}  # fmt: skip


def batch(*changes: dict) -> pa.RecordBatch:
    rows = [dict.fromkeys(COLUMNS) | GOOD | change for change in changes]
    columns = [pa.array([row[name] for row in rows], arrow_type(kind)) for name, kind in COLUMNS.items()]
    return pa.record_batch(columns, names=list(COLUMNS))


def result_of(*changes: dict) -> dict:
    with Oracle(*JANUARY) as oracle_:
        oracle_.add(batch(*changes))
        return oracle_.result()


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"fare_amount": 0.0, "trip_distance": 0.0}, True),
        ({"fare_amount": -0.001}, False),  # checked before it is rounded
        ({"fare_amount": -0.01}, False),
        ({"fare_amount": None}, False),
        ({"trip_distance": -0.001}, False),
        ({"trip_distance": 1e9}, False),
        ({"trip_distance": None}, False),
        ({"tpep_pickup_datetime": None}, False),
        ({"tpep_dropoff_datetime": None}, False),
        ({"tpep_pickup_datetime": datetime(2023, 12, 31, 23, 59, 59)}, False),
        ({"tpep_pickup_datetime": datetime(2024, 1, 1)}, True),
        ({"tpep_pickup_datetime": datetime(2024, 1, 31, 23, 59, 59)}, True),
        ({"tpep_pickup_datetime": datetime(2024, 2, 1)}, False),
        ({"total_amount": None, "VendorID": None}, True),
        ({"total_amount": 99_999_999.99}, True),
        ({"total_amount": 100_000_000.0}, False),
        ({"tolls_amount": -1e300}, False),
        ({"Airport_fee": -1.75}, True),
        ({"passenger_count": 2**31 - 1}, True),
        ({"passenger_count": 2**31}, False),
    ],
)
def test_rules(change, valid):
    assert result_of(change)["silver"] == valid
    assert result_of(change)["rejected_trips"] == (not valid)


def test_the_first_of_a_duplicate_counts():
    other = {"total_amount": 22.71}
    assert result_of({}, {}, other, {"tip_amount": 9.0}, {"fare_amount": -1.0}, {"fare_amount": -1.0}) == {
        "events": 6, "bronze": 6, "rejected_events": 0, "silver": 2, "rejected_trips": 2, "duplicates": 2,
        "dates": 1, "hours": 1, "reasons": {"fare_amount is negative": 2},
        "window": ["2024-01-01 00:00:00", "2024-02-01 00:00:00"],
    }  # fmt: skip


def test_rejected_trips_are_counted_by_the_first_rule_that_they_violate():
    early, refund = {"tpep_pickup_datetime": datetime(2023, 12, 1)}, {"fare_amount": -1.0}
    trips = [early, early | refund, refund | {"tolls_amount": 1e300}, early | {"tpep_dropoff_datetime": None}]
    found = result_of(*trips, {"passenger_count": 2**31}, {"tolls_amount": 1e300, "passenger_count": 2**31}, {})
    assert found["reasons"] == {
        OUTSIDE: 2,
        "tpep_dropoff_datetime is missing or unreadable": 1,
        "fare_amount is negative": 1,
        "tolls_amount does not fit DECIMAL(10,2)": 1,
        "passenger_count is not an integer": 1,
    }
    assert sum(found["reasons"].values()) == found["rejected_trips"]


def test_rules_have_silvers_reasons_in_the_same_order(connect):
    taxi = get_pipeline("nyc_taxi")
    [judged_trips] = [
        text for text in statements(stage_script(taxi, taxi.stages["silver"])) if "VIEW judged_trips" in text
    ]
    one = batch({})
    numbers = {name: oracle._integers(one, name) for name in ("tpep_pickup_datetime", "tpep_dropoff_datetime")}
    with Oracle(*JANUARY) as oracle_:
        reasons = [reason for reason, _ in oracle_._rules(one, numbers)]
    assert reasons == re.findall("THEN '([^']+)'", judged_trips)


def test_duplicates_are_found_across_parts_and_batches(monkeypatch, tmp_path):
    monkeypatch.setattr(oracle, "PART_ROWS", 7)
    trips = [{"tpep_pickup_datetime": datetime(2024, 1, 1 + i % 20, i % 5), "DOLocationID": 1 + i} for i in range(50)]
    with Oracle(*JANUARY, tmp_path / "keys") as oracle_:
        for some in (trips[:30], trips[20:], trips):
            oracle_.add(batch(*some))
        result = oracle_.result()
    assert (result["silver"], result["duplicates"]) == (50, 60)
    keys = pa.parquet.read_table(tmp_path / "keys")
    assert len(set(keys["trip_id"].to_pylist())) == len(keys) == 50


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "2|2024-01-01 00:57:55|2024-01-01 01:17:43|186|79|17.70|22.70"),
        ({"VendorID": None, "total_amount": None, "DOLocationID": None},
         "|2024-01-01 00:57:55|2024-01-01 01:17:43|186||17.70|"),
        ({"fare_amount": 2.675, "total_amount": -2.675}, "2|2024-01-01 00:57:55|2024-01-01 01:17:43|186|79|2.68|-2.68"),
        ({"fare_amount": 0.0, "total_amount": -0.01}, "2|2024-01-01 00:57:55|2024-01-01 01:17:43|186|79|0.00|-0.01"),
        ({"fare_amount": 8.899999999999999, "total_amount": 12345678.9},
         "2|2024-01-01 00:57:55|2024-01-01 01:17:43|186|79|8.90|12345678.90"),
    ],
)  # fmt: skip
def test_trip_id(change, text, tmp_path):
    with Oracle(*JANUARY, tmp_path / "keys") as oracle_:
        oracle_.add(batch(change))
        oracle_.result()
    row = {
        "trip_id": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "pickup_date": date(2024, 1, 1),
        "pickup_hour": 0,
    }
    assert pa.parquet.read_table(tmp_path / "keys").to_pylist() == [row]


def test_the_real_file(real_file, tmp_path):
    with Oracle(*JANUARY, tmp_path / "keys") as oracle_:
        for some in TripFile(real_file).batches():
            oracle_.add(some)
        result = oracle_.result()
    assert result == {
        "events": 10_000, "bronze": 10_000, "rejected_events": 0, "silver": 9_855, "rejected_trips": 145,
        "duplicates": 0, "dates": 1, "hours": 3, "reasons": {"fare_amount is negative": 135, OUTSIDE: 10},
        "window": ["2024-01-01 00:00:00", "2024-02-01 00:00:00"],
    }  # fmt: skip
    ids = set()
    with real_file.open() as lines:
        for row in DictReader(lines):
            if float(row["fare_amount"]) >= 0 and row["tpep_pickup_datetime"].startswith("2024-01"):
                amounts = [f"{float(row[name]):.2f}" for name in ("fare_amount", "total_amount")]
                names = (
                    "VendorID",
                    "tpep_pickup_datetime",
                    "tpep_dropoff_datetime",
                    "PULocationID",
                    "DOLocationID",
                )
                identity = "|".join([*(row[name] for name in names), *amounts])
                ids.add(hashlib.md5(identity.encode(), usedforsecurity=False).hexdigest())
    assert set(pa.parquet.read_table(tmp_path / "keys")["trip_id"].to_pylist()) == ids


def test_a_keys_file_without_a_folder_is_refused_before_anything_is_sent(tmp_path):
    with pytest.raises(GeneratorError, match="does not exist"):
        Oracle(*JANUARY, tmp_path / "none" / "keys")


def test_without_events_nothing_is_expected():
    with Oracle(*JANUARY) as oracle_:
        result = oracle_.result()
    assert result.pop("reasons") == {}
    assert result.pop("window") == ["2024-01-01 00:00:00", "2024-02-01 00:00:00"]
    assert set(result.values()) == {0}


def test_cents_equal_decimal_arithmetic():
    from decimal import ROUND_HALF_UP, Decimal

    rng = np.random.default_rng(1)
    values = [*(rng.integers(-(10**7), 10**7, 2_000) / 1_000).tolist(), *rng.normal(0, 1_000, 2_000).tolist()]
    cents = oracle._cents(batch(*({"tip_amount": value} for value in values)), "tip_amount")
    assert cents.tolist() == [int((Decimal(repr(value)) * 100).to_integral_value(ROUND_HALF_UP)) for value in values]
