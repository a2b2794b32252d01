"""Events and values as parsed by the streaming jobs: the expected results were obtained from Flink."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from lakehouse.paths import SQL
from lakehouse.pipelines.contract import Field
from lakehouse.quality.audit.database import AuditDatabase
from lakehouse.quality.audit.event_fields import EventFields, _walk

N = None
FIELDS = ("VendorID", "extra", "fare_amount", "tip_amount")


def event_fields(payload: bytes | None, names: Sequence[str]) -> list[str | None] | None:
    """The text of each field, or None if it is not an event. Other payloads in the same batch must not matter."""
    good = json.dumps(dict.fromkeys(names, "x")).encode()
    is_event, columns = EventFields(names).columns([good, payload, None, good])
    assert is_event.to_pylist() == [True, is_event[1].as_py(), False, True]
    assert all(column[0].as_py() == column[3].as_py() == "x" and column[2].as_py() is None for column in columns)
    return [column[1].as_py() for column in columns] if is_event[1].as_py() else None


def fare(payload: bytes) -> str | None:
    """The text of fare_amount."""
    fields = event_fields(payload, FIELDS)
    assert fields is not None
    return fields[FIELDS.index("fare_amount")]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b"20", "20"),
        (b"20.50", "20.50"),
        (b"-0", "-0"),
        (b"1E+05", "1E+05"),
        (b"1e400", "1e400"),
        (b"123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        (b"null", None),
        (b"true", "true"),
        (b"false", "false"),
        (b'""', ""),
        (b'"free"', "free"),
        (b'"20.50"', "20.50"),
        (b'"null"', "null"),
        (b'"a\\u0020\\"b\\n"', 'a "b\n'),
        (b'"\\ud83d\\ude95"', "\U0001f695"),
        ("“Zürich”".join('""').encode(), "“Zürich”"),
        (b'{"a": 1.50}', '{"a": 1.50}'),
        (b'[ 1 , {"b" :null} ]', '[ 1 , {"b" :null} ]'),
        (b"[" * 5000 + b"]" * 5000, "[" * 5000 + "]" * 5000),
        (b'1, "fare_amount": 2', "2"),
        (b'1, "fare_amount": null', None),
        (b'[1], "fare_amount": 2', "2"),
        (b'1, "Fare_amount": 2', "1"),
        (b'1, "unknown": [[{"x": {}}], "y", 1e9]', "1"),
        (b'1, "unknown": "\\ud800"', "1"),
        (b"1 \r\n\t", "1"),
    ],
)
def test_a_field_keeps_its_original_text(written, text):
    payload = b'{"fare_amount":' + written + b"}"
    assert fare(payload) == text
    assert _walk(payload.decode(), FIELDS)[FIELDS.index("fare_amount")] == text


@pytest.mark.parametrize(
    "payload",
    [
        None,
        b"",
        b" ",
        b"plain text",
        b"42",
        b"null",
        b'"text"',
        b"[1, 2]",
        b'[{"fare_amount": 1}]',
        b'{"fare_amount": 1',
        b'{"fare_amount": 1} x',
        b'{"fare_amount": 1} {"fare_amount": 1}',
        b'{"fare_amount": 1,}',
        b'{,"fare_amount": 1}',
        b'{"fare_amount" 1}',
        b'{"fare_amount": 01}',
        b'{"fare_amount": 1.}',
        b'{"fare_amount": .5}',
        b'{"fare_amount": +1}',
        b'{"fare_amount": NaN}',
        b'{"fare_amount": Infinity}',
        b'{"fare_amount": -Infinity}',
        b'{"fare_amount": TRUE}',
        b"{'fare_amount': 1}",
        b"{fare_amount: 1}",
        b'{"fare_amount": "a\tb"}',
        b'{"fare_amount": "a\\x"}',
        b'{"fare_amount": "\\u12"}',
        b'{"fare_amount": "\\ud800"}',
        b'{"fare_amount": "\\ude95\\ud83d"}',
        b'{"fare_amount": [1}',
        b'{"fare_amount": [1,]}',
        b'{"fare_amount": {"a"}}',
        b'{"fare_amount": 1 2}',
        b'{"x": ' + b"[" * 5000,
        b'\xef\xbb\xbf{"fare_amount": 1}',
        '{"fare_amount": 1}'.encode("utf-16"),
        '{"fare_amount": 1}'.encode("utf-16-le"),
        b'{"fare_amount": "\xff"}',
        b"{} //",
    ],
)
def test_what_is_not_one_json_object_in_utf8_is_rejected(payload):
    assert event_fields(payload, FIELDS) is None
    if payload and b"\xff" not in payload:
        assert _walk(payload.decode(), FIELDS) is None


def test_the_walk_agrees_with_the_parser():
    """For valid and broken objects, made by changing characters of a valid one."""
    random.seed(5)
    good = '{"VendorID": 2, "extra": "a\\n", "x": [1.5, {"y": null}, []], "fare_amount": -0.10e+2, "tip_amount": true}'
    for _ in range(20_000):
        text = list(good)
        for _ in range(random.randint(1, 3)):
            text[random.randrange(len(text))] = random.choice('{}[]:,"0123456789.eE+-\\ntrue \t')
        text = "".join(text)
        if "\\u" in text:
            continue
        plain = event_fields(text.encode(), FIELDS)
        walked = _walk(text, FIELDS)
        assert plain == walked, text


#: Text, its number, its amount.
NUMBERS = [
    ("2024", 2024.0, "2024.00"),
    ("", N, N),
    (" 1.5", N, N),
    ("1.5\n", N, N),
    ("+1.5", N, N),
    ("1d", N, N),
    ("0x1p3", N, N),
    ("NaN", N, N),
    ("Infinity", N, N),
    ("1e400", math.inf, N),
    ("-1e400", -math.inf, N),
    ("3" * 10_000, math.inf, N),
    ("0." + "3" * 10_000, 1 / 3, "0.33"),
    ("1e99999999999", math.inf, N),
    ("1e-400", 0.0, "0.00"),
    (".5", N, N),
    ("5.", N, N),
    ("1e", N, N),
    ("1E+5", 100000.0, "100000.00"),
    ("1_000", N, N),
    ("\uff11", N, N),
    ("true", N, N),
    ("2.675", 2.675, "2.68"),
    ("1.005", 1.005, "1.01"),
    ("0.015", 0.015, "0.02"),
    ("0.125", 0.125, "0.13"),
    ("-0.005", -0.005, "-0.01"),
    ("99999999.994", 99999999.994, "99999999.99"),
    ("99999999.995", 99999999.995, N),
    ("99999999.9949999", 99999999.9949999, "99999999.99"),
    ("2.5e-3", 0.0025, "0.00"),
    ("12345678.915", 12345678.915, "12345678.92"),
    ("-0", 0.0, "0.00"),
    ("0.004999999999999999999", 0.005, "0.01"),
    ("00012", N, N),
    ("1 2", N, N),
]
MOMENTS = {
    "2024-01-15": "2024-01-15 00:00:00",
    "2024-01-15T10:00:00": "2024-01-15 10:00:00",
    "2024-01-15 10:00": N,
    "2024-01-15 10:00:0": "2024-01-15 10:00:00",
    "2024-01-15 10:00:5": N,
    "2024-1-5 10:00:00": N,
    "2024-01-15 10:00:00.5": "2024-01-15 10:00:00.5",
    "2024-01-15 10:00:00.": N,
    "2024-01-15 10:00:00.123456789": "2024-01-15 10:00:00.123456",
    "2024-01-15 10:00:00.1234567891": N,
    "2024-01-15T10:00:00Z": N,
    "2024-01-15 10:00:00+01:00": N,
    "2024-01-15 10:00:00 ": N,
    " 2024-01-15 10:00:00": N,
    "2024-01-15 10:00:00junk": N,
    "2024-01-15 ": N,
    "2024-01": N,
    "2024": N,
    "": N,
    "2024-01-15 24:00:00": N,
    "2024-01-15 10:60:00": N,
    "2024-01-15 10:00:60": N,
    "2024-02-30": N,
    "2023-02-29 00:00:00": N,
    "2024-02-29 00:00:00": "2024-02-29 00:00:00",
    "0001-01-01 00:00:00": "0001-01-01 00:00:00",
    "0000-01-01 00:00:00": N,
    "9999-12-31 23:59:59": "9999-12-31 23:59:59",
    "10000-01-01 00:00:00": N,
    "1582-10-10 00:00:00": "1582-10-10 00:00:00",
    "2024-01-15t10:00:00": N,
    "2024-01-15T": N,
    "2024/01/15 10:00:00": N,
    "1705312800000": N,
}


#: Text -> the instant, as parsed by Java's OffsetDateTime.
INSTANTS = {
    "2024-01-15T10:00:00Z": "2024-01-15 10:00:00+00",
    "2024-01-15 10:00:00+01:00": "2024-01-15 09:00:00+00",
    "2024-01-15T10:00Z": "2024-01-15 10:00:00+00",
    "2024-01-15T10Z": N,
    "2024-01-15t10:00:00z": "2024-01-15 10:00:00+00",
    "2024-01-15T10:00:00.Z": "2024-01-15 10:00:00+00",
    "2024-01-15T10:00:00.123456789Z": "2024-01-15 10:00:00.123456+00",
    "2024-01-15T10:00:00.1234567891Z": N,
    "2024-01-15T10:00:00+01": "2024-01-15 09:00:00+00",
    "2024-01-15T10:00:00+0100": N,
    "2024-01-15T10:00:00+1:00": N,
    "2024-01-15T10:00:00+01:00:30": "2024-01-15 08:59:30+00",
    "2024-01-15T10:00:00-00:00": "2024-01-15 10:00:00+00",
    "2024-01-15 10:00:00-05:30": "2024-01-15 15:30:00+00",
    "2024-01-15T10:00:00+18:00": "2024-01-14 16:00:00+00",
    "2024-01-15T10:00:00+18:01": N,
    "2024-01-15T10:00:00+19:00": N,
    "2024-01-15T10:00:00+01:60": N,
    "2024-01-15T24:00:00Z": N,
    "2024-01-15T23:59:60Z": N,
    "2024-02-30T10:00:00Z": N,
    "2024-01-15T10:00:00 Z": N,
    "2024-01-15T10:00:00+01:00[Europe/Berlin]": N,
    "2024-01-15T10:0:00Z": N,
    "2024-01-15T10:00:00+01:0": N,
    "2024-01-15T10:00:00.5+05:30": "2024-01-15 04:30:00.5+00",
    "2024-01-15T10:00:00": N,
    "2024-01-15": N,
    "": N,
    "1582-10-10T00:00:00Z": "1582-10-10 00:00:00+00",
    "0001-01-02T00:00:00+01:00": "0001-01-01 23:00:00+00",
}
#: Text, its value as BIGINT.
INTEGERS = {
    "12": 12,
    "12.0": 12,
    "1.2e1": 12,
    "1.5": N,
    "9007199254740993": 9007199254740993,
    "-9223372036854775808": -9223372036854775808,
    "9223372036854775808": N,
    "1e17": N,
    "1e400": N,
    "012": N,
    "twelve": N,
    "": N,
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory):
    with AuditDatabase(Path(tmp_path_factory.mktemp("audit")), "500MB") as database:
        yield database


def value(database: AuditDatabase, text: str, type_: str) -> object:
    """The audit's value for a text in a field of this type."""
    macros = Environment(loader=FileSystemLoader(SQL)).get_template("audit/values.jinja").module
    field = Field("field", "field", type_, "string", nullable=True, required=False)
    converted = macros.typed(field, '"field"')
    return database.value(f"SELECT CAST({converted} AS VARCHAR) FROM (SELECT ? AS field)", text)


@pytest.mark.parametrize(("text", "number", "amount"), NUMBERS)
def test_numbers(database, text, number, amount):
    assert database.value("SELECT number_of($1)", text) == number
    assert value(database, text, "DECIMAL(10, 2)") == amount


@pytest.mark.parametrize(("text", "moment"), MOMENTS.items())
def test_moments(database, text, moment):
    assert value(database, text, "TIMESTAMP(6)") == moment
    assert value(database, text, "DATE") == (moment and moment[:10])


@pytest.mark.parametrize(("text", "instant"), INSTANTS.items())
def test_instants(database, text, instant):
    assert value(database, text, "TIMESTAMP_LTZ(6)") == instant


@pytest.mark.parametrize(
    ("number", "is_code"),
    [(1.0, True), (-2147483647.0, True), (2147483648.0, False), (1.5, False), (math.nan, False), (math.inf, False)],
)
def test_integers(database, number, is_code):
    assert database.value("SELECT integer_of($1)", number) == (number if is_code else None)


@pytest.mark.parametrize(("text", "integer"), INTEGERS.items())
def test_long_integers(database, text, integer):
    assert value(database, text, "BIGINT") == (None if integer is None else str(integer))


@pytest.mark.parametrize(
    ("type_", "text", "taken"),
    [
        ("BOOLEAN", "true", "true"),
        ("BOOLEAN", "false", "false"),
        ("BOOLEAN", "TRUE", N),
        ("BOOLEAN", "1", N),
        ("DOUBLE", "1e-1", "0.1"),
        ("DOUBLE", "1e400", N),
        ("DOUBLE", "NaN", N),
        ("DECIMAL(8, 3)", "2.6785", "2.679"),
        ("DECIMAL(8, 3)", "99999.9995", N),
        ("STRING", " as it is ", " as it is "),
    ],
)
def test_other_types(database, type_, text, taken):
    assert value(database, text, type_) == taken
