"""Infers the contract's fields from a sample: types of values, and reasons why there is none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.scaffold import sample as samples
from lakehouse.scaffold.infer import infer, snake_case
from lakehouse.scaffold.sample import SampleError, read_sample


@pytest.fixture
def declared(sample):
    """The JSON Schema of field `x` in a sample; nullable, like all fields that are not in key or time."""

    def declared(content, name="sample.jsonl"):
        properties = infer(read_sample(sample(content, name)), (), None).properties
        found = properties["x"]
        assert found.pop("description") == ""
        assert found["type"][1:] == ["null"]
        return found | {"type": found["type"][0]}

    return declared


def rows(*values):
    return [{"x": value, "n": 1} for value in values]


INTEGER, NUMBER, STRING = {"type": "integer"}, {"type": "number"}, {"type": "string"}
DATE = {"type": "string", "format": "date"}
LOCAL = {"type": "string", "format": "date-time"}
MOMENT = {"type": "string", "format": "date-time", "x-type": "TIMESTAMP_LTZ(6)"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, -2, None), INTEGER),
        ((1, 2.5), NUMBER),
        ((1.0, 2.0), NUMBER),
        ((517.0, None), INTEGER),
        ((517.0, 2, None), INTEGER),
        ((517.5, None), NUMBER),
        ((2**63 - 1, -(2**63)), INTEGER),
        ((12345678901234567890,), {"type": "integer", "x-type": "STRING"}),
        ((True, False, None), {"type": "boolean"}),
        (("1", "2"), STRING),
        (("",), STRING),
        ((None,), STRING),
        (({"a": 1}, {}), {"type": "object"}),
        (([1], []), {"type": "array"}),
        (("2024-02-29",), DATE),
        (("2023-02-29",), STRING),
        (("2024-01-31T23:59:59", "2024-01-31 00:00:00.123456", "2024-01-31"), LOCAL),
        (("2024-01-31T24:00:00",), STRING),
        (("2024-01-31T23:59",), STRING),
        (("2024-01-31T23:59:59Z", "2024-01-31 23:59:59.5+01:00"), MOMENT),
        (("2024-01-31T23:59:59Z", "2024-01-31T23:59:59"), STRING),
        (("2024-01-31T23:59:59Z", "2024-01-31"), STRING),
        (("2024-01-31T23:59:59Z", "soon"), STRING),
        (("20240131",), STRING),
    ],
)
def test_types_of_json(declared, values, expected):
    assert declared(rows(*values)) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("1", "-2", ""), INTEGER),
        (("1", "NA"), INTEGER),
        (("1.0", "2.0"), NUMBER),
        (("517.0", ""), INTEGER),
        (("1", "2.5e3"), NUMBER),
        (("01234", "56"), STRING),
        (("+1",), STRING),
        (("true", "False", "NULL"), {"type": "boolean"}),
        (("2024-01-31", ""), DATE),
        (("2024-01-31T23:59:59Z", "NA"), MOMENT),
        (("N14228", "NA"), STRING),
        (("", ""), STRING),
        (('"a,b"', '"c ""d"""'), STRING),
    ],
)
def test_types_of_csv(declared, cells, expected):
    assert declared("x,n\n" + "".join(f"{cell},1\n" for cell in cells), "sample.csv") == expected


def test_text_is_unchanged_and_an_empty_cell_is_null(sample):
    read = read_sample(sample("x\nNA\nUA\n\n", "sample.csv"))
    assert [row["x"] for row in read.rows] == ["NA", "UA"]
    assert [row["x"] for row in read_sample(sample("x,y\n,1\nUA,2\n", "sample.csv")).rows] == [None, "UA"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([517.0, None]), INTEGER),
        (pa.array([float("nan"), 517.0]), INTEGER),
        (pa.array([1.0, 2.0]), NUMBER),
        (pa.array([1, None], pa.int16()), INTEGER),
        (pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)), {"type": "number", "x-type": "DECIMAL(18, 2)"}),
        (pa.array([Decimal(10) ** 30, None]), NUMBER),
        (pa.array(["UA", None]).dictionary_encode(), STRING),
        (pa.array([date(2024, 1, 31)]), DATE),
        (pa.array([datetime(2024, 1, 31, 12)]), LOCAL),
        (pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")), LOCAL),
        (pa.array([datetime(2024, 1, 31, 12, tzinfo=UTC)], pa.timestamp("us", "America/New_York")), MOMENT),
        (pa.array([{"a": datetime(2024, 1, 31)}]), {"type": "object"}),
        (pa.array([[1], []]), {"type": "array"}),
    ],
)
def test_types_of_parquet(declared, tmp_path, column, expected):
    pq.write_table(pa.table({"x": column, "n": range(len(column))}), tmp_path / "made.parquet")
    assert declared((tmp_path / "made.parquet").read_bytes(), "sample.parquet") == expected


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("dep_delay", "dep_delay"), ("dep_delayMinutes", "dep_delay_minutes"), ("VendorID", "vendor_id"),
        ("PULocationID", "pu_location_id"), ("x1Y", "x1_y"), ("Airport_fee", "airport_fee"),
    ],
)  # fmt: skip
def test_columns_are_in_snake_case(name, column):
    assert snake_case(name) == column


def test_columns_are_declared_if_lower_case_is_not_enough(sample):
    properties = infer(read_sample(sample([{"depDelay": 1, "Origin": "EWR"}])), (), None).properties
    assert properties["depDelay"]["x-column"] == "dep_delay"
    assert "x-column" not in properties["Origin"]


def test_only_key_and_time_are_required(sample):
    events = [{"id": 1, "at": "2024-01-31", "seen": 5, "price": 2.0}, {"id": 1, "at": "1969-12-31", "seen": 6}]
    found = infer(read_sample(sample(events)), ("id",), "at")
    assert found.required == ["id", "at"]
    assert [name for name, declared in found.properties.items() if "null" in declared["type"]] == ["seen", "price"]
    assert found.never_null == ["seen"]
    assert found.as_integers == ["price"]
    assert found.years == (1969, 2024)
    assert found.repeats == 1
    assert infer(read_sample(sample(events)), (), None).repeats == 0


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "s.jsonl", "contains no events"),
        ("\n{}\n", "s.jsonl", "contains no events"),
        ("x,y\n", "s.csv", "contains no events"),
        ('{"x": 1}\n{"x": \n', "s.jsonl", r"line 2: not JSON. Next:"),
        ('{"x": 1}\n\n[1]\n', "s.jsonl", "line 3: JSON, but not an object"),
        ('{"x": NaN}\n', "s.jsonl", "line 1: not JSON"),
        ("x,y\n1,2\n1\n", "s.csv", "line 3: does not have as many values as the header"),
        ("x;y\n1;2\n", "s.csv", "separates its columns with ';'. Next: use commas"),
        (b"x\ncaf\xe9\n", "s.csv", "line 2: text that is not UTF-8. Next: convert"),
        ([{"x": 1}, {"x": "late"}, {"x": "late"}], "s.jsonl",
         r"Field 'x' mixes types: integer in 1 rows, such as line 1 \(1\); string in 2 rows, such as line 2 \(\"late\"\)"),
        ([{"x": True}, {"x": 1}], "s.jsonl", "mixes types: boolean in 1 rows"),
        ([{"x": {"a": 1}}, {"x": [1]}], "s.jsonl", "mixes types: object"),
        ([{"dep time": 1}], "s.jsonl", "Field 'dep time' cannot be a column. Next: rename"),
        ([{"größe": 1}], "s.jsonl", "cannot be a column"),
    ],
)  # fmt: skip
def test_an_unusable_sample_is_refused(sample, content, name, reason):
    with pytest.raises(SampleError, match=reason):
        infer(read_sample(sample(content, name)), (), None)


def test_bytes_are_not_a_json_value(sample, tmp_path):
    pq.write_table(pa.table({"x": [b"\x00"]}), tmp_path / "made.parquet")
    with pytest.raises(SampleError, match="row 1: JSON has no equivalent for type bytes"):
        read_sample(tmp_path / "made.parquet")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(AirflowException, match=r"Next: "):
        read_sample(tmp_path / "missing.jsonl")


@pytest.mark.parametrize(
    ("key", "time", "reason"),
    [
        (("id", "idd"), None, "no field 'idd'. Next: choose one of id, at, seen"),
        (("seen",), None, r"seen is missing or null in line 2 \(1 of 2 rows\)"),
        ((), "seen", "seen is missing or null in line 2"),
        ((), "id", "TIME=id is not a field of ISO 8601 dates, .* line 1 has 7. Next: "),
        ((), "at", 'line 1 has "2024-01-31T00:00:00"'),
    ],
)
def test_unsuitable_keys_and_times_are_refused(sample, key, time, reason):
    events = [{"id": 7, "at": "2024-01-31T00:00:00", "seen": "2024-01-31"}, {"id": 8, "at": "2024-01-31T00:00:00Z"}]
    with pytest.raises(SampleError, match=reason):
        infer(read_sample(sample(events)), key, time)


def test_a_large_file_is_read_partially(sample, monkeypatch):
    monkeypatch.setattr(samples, "MAX_ROWS", 2)
    assert read_sample(sample(rows(1, 2))).complete
    read = read_sample(sample(rows(1, 2, "late")))
    assert (len(read.rows), read.complete) == (2, False)
