"""All kinds of events, each with the one table where it must end. Tests send all of them at once.

Add new kinds here.
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass, field
from itertools import count
from typing import Any

BRONZE, NO_EVENT = "bronze.raw_trips", "bronze.rejected_events"
TRIP, BROKEN_RULE, DUPLICATE = "silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips"
REFUSED = "refused by the producer"
#: Tables where an event can end.
TABLES = (NO_EVENT, TRIP, BROKEN_RULE, DUPLICATE)
GOOD = {
    "VendorID": 1,
    "tpep_pickup_datetime": "2024-01-15T10:00:00",
    "tpep_dropoff_datetime": "2024-01-15T10:30:00",
    "passenger_count": 1,
    "trip_distance": 2.5,
    "RatecodeID": 1,
    "store_and_fwd_flag": "N",
    "PULocationID": 132,
    "DOLocationID": 1,
    "payment_type": 1,
    "fare_amount": 20,
    "extra": 0.5,
    "mta_tax": 0.5,
    "tip_amount": 0,
    "tolls_amount": 0,
    "improvement_surcharge": 1,
    "total_amount": 25,
    "congestion_surcharge": 2.5,
    "Airport_fee": 0,
}


@dataclass(frozen=True)
class Event:
    """One message and its expected result.

    :param ends: the table where it must end, or `REFUSED`
    :param reason: the row's reason, or part of the producer's error
    :param holds: expected values of some of the row's columns
    :param timestamp_ms: the message's timestamp, epoch milliseconds; 0 for now
    """

    name: str
    value: bytes | None
    ends: str
    reason: str | None = None
    holds: dict[str, Any] = field(default_factory=dict)
    key: bytes | None = b"132"
    headers: tuple[tuple[str, bytes | None], ...] = (("schema.id", b"1"),)
    timestamp_ms: int = 0


_zones = count(1_000)


def trip(**changes: str | None) -> bytes:
    """A unique trip with changed fields, as JSON or invalid text; None leaves a field out."""
    written = {name: json.dumps(value) for name, value in GOOD.items()} | {"DOLocationID": str(next(_zones))} | changes
    return ("{" + ",".join(f'"{name}":{value}' for name, value in written.items() if value is not None) + "}").encode()


def good(name: str, value: bytes | None = None, holds: dict[str, Any] | None = None, **message: Any) -> Event:
    return Event(name, value or trip(), TRIP, holds=holds or {}, **message)


def no_event(name: str, value: bytes | None, reason: str) -> Event:
    return Event(name, value, NO_EVENT, reason)


def broken(name: str, reason: str, **changes: str | None) -> Event:
    return Event(name, trip(**changes), BROKEN_RULE, reason)


def pickup(written: str) -> dict[str, str]:
    return {"tpep_pickup_datetime": json.dumps(written, ensure_ascii=False)}


NOT_JSON, NOT_UTF8, NO_OBJECT = "not JSON", "not UTF-8", "JSON, but not an object"
HALF_A_PAIR = "JSON, but with half a surrogate pair"
NO_PICKUP = "tpep_pickup_datetime is missing or unreadable"
OUTSIDE = "tpep_pickup_datetime is outside the window"
NO_DROPOFF = "tpep_dropoff_datetime is missing or unreadable"
NO_DISTANCE, BAD_DISTANCE = "trip_distance is missing or not a number", "trip_distance is negative or not finite"
NO_FARE, NEGATIVE_FARE = "fare_amount is missing or not a number", "fare_amount is negative"

NO_OBJECTS = [
    no_event("tombstone", None, "no value (tombstone)"),
    no_event("empty", b"", "empty value"),
    no_event("blanks alone", b" \t\r\n", NOT_JSON),
    no_event("plain text", b"plain text", NOT_JSON),
    no_event("CSV", b"1,2024-01-15 10:00:00,2024-01-15 10:30:00,2.5", NOT_JSON),
    no_event("array", b"[" + trip() + b"]", NO_OBJECT),
    no_event("number", b"42", NO_OBJECT),
    no_event("null", b"null", NO_OBJECT),
    no_event("boolean", b"true", NO_OBJECT),
    no_event("string", b'"text"', NO_OBJECT),
    no_event("object in a string", json.dumps(trip().decode()).encode(), NO_OBJECT),
    no_event("NaN alone", b"NaN", NOT_JSON),
    # Broken JSON
    no_event("cut short", trip()[:-20], NOT_JSON),
    no_event("cut within a text", b'{"store_and_fwd_flag": "N', NOT_JSON),
    no_event("bracket open", b"{", NOT_JSON),
    no_event("bracket of another kind", trip()[:-1] + b"]", NOT_JSON),
    no_event("bracket too many", trip() + b"}", NOT_JSON),
    no_event("text after the object", trip() + b" and more", NOT_JSON),
    no_event("two objects", trip() + trip(), NOT_JSON),
    no_event("two objects, a line each", trip() + b"\n" + trip(), NOT_JSON),
    no_event("NUL after the object", trip() + b"\0", NOT_JSON),
    no_event("comma after the last field", trip()[:-1] + b",}", NOT_JSON),
    no_event("comma missing", trip().replace(b",", b" ", 1), NOT_JSON),
    no_event("colon missing", trip().replace(b":", b" ", 1), NOT_JSON),
    no_event("value missing", trip(extra=""), NOT_JSON),
    no_event("key without quotes", trip().replace(b'"VendorID"', b"VendorID"), NOT_JSON),
    no_event("single quotes", trip().replace(b'"', b"'"), NOT_JSON),
    no_event("comment", trip(extra="0 /* none */"), NOT_JSON),
    no_event("NaN", trip(fare_amount="NaN"), NOT_JSON),
    no_event("Infinity", trip(trip_distance="-Infinity"), NOT_JSON),
    no_event("zero before a number", trip(passenger_count="007"), NOT_JSON),
    no_event("plus before a number", trip(passenger_count="+1"), NOT_JSON),
    no_event("hexadecimal", trip(passenger_count="0x1"), NOT_JSON),
    no_event("point without a digit", trip(extra="5."), NOT_JSON),
    no_event("decimal comma", trip(extra="0,5"), NOT_JSON),
    no_event("digits grouped", trip(extra="1_000"), NOT_JSON),
    no_event("Python's True", trip(extra="True"), NOT_JSON),
    no_event("undefined", trip(extra="undefined"), NOT_JSON),
    no_event("line break in a text", trip(store_and_fwd_flag='"N\n"'), NOT_JSON),
    no_event("NUL in a text", trip(store_and_fwd_flag='"N\0"'), NOT_JSON),
    no_event("line break in an unknown text", trip(note='"a\nb"'), NOT_JSON),
    no_event("unknown escape", trip(store_and_fwd_flag='"\\x4e"'), NOT_JSON),
    no_event("unknown escape in an unknown text", trip(note='"\\q"'), NOT_JSON),
    no_event("half an escape", trip(store_and_fwd_flag='"\\u00"'), NOT_JSON),
    no_event("half a surrogate pair", trip(store_and_fwd_flag='"\\ud83d"'), HALF_A_PAIR),
    # Other encodings
    no_event("byte order mark", b"\xef\xbb\xbf" + trip(), NOT_JSON),
    no_event("UTF-16 with its mark", trip().decode().encode("utf-16"), NOT_UTF8),
    no_event("UTF-16 without", trip().decode().encode("utf-16-be"), NOT_JSON),
    no_event("UTF-32 without", trip().decode().encode("utf-32-le"), NOT_JSON),
    no_event("Latin-1", trip(store_and_fwd_flag='"é"').decode().encode("latin-1"), NOT_UTF8),
    no_event("Latin-1 in an unknown field", trip(note='"é"').decode().encode("latin-1"), NOT_UTF8),
    no_event("overlong UTF-8", trip(store_and_fwd_flag='"~"').replace(b"~", b"\xc1\x8e"), NOT_UTF8),
    no_event("surrogate in UTF-8", trip(store_and_fwd_flag='"~"').replace(b"~", b"\xed\xa0\xbd"), NOT_UTF8),
    no_event("UTF-8 cut short", trip(store_and_fwd_flag='"🚕"').split(b"\x95")[0], NOT_UTF8),
    no_event("gzip", gzip.compress(trip(), mtime=0), NOT_UTF8),
    no_event("Confluent's prefix", b"\0\0\0\0\x01" + trip(), NOT_JSON),
    no_event("Avro", b"Obj\x01\x04\x14avro.codec\x08null\x00\xff\xfe", NOT_UTF8),
    # Large
    no_event("text of 900 kB that does not end", b'{"store_and_fwd_flag": "' + b"N" * 900_000, NOT_JSON),
    no_event("100,000 brackets", b"[" * 100_000, NOT_JSON),
    no_event("100,000 arrays in one another", b"[" * 100_000 + b"]" * 100_000, NO_OBJECT),
]

ODD_BUT_GOOD = [
    good("good"),
    good("blanks around", b"\r\n\t " + trip() + b" \n"),
    good("blanks within", json.dumps(json.loads(trip()), indent=4).encode()),
    good("optional fields missing", trip(**dict.fromkeys(["extra", "mta_tax", "passenger_count"])), {"extra": None}),
    good("optional fields null", trip(VendorID="null", passenger_count="null", tip_amount="null"), {"vendor_id": None}),
    good("numbers as text", trip(fare_amount='"20.50"', passenger_count='"2"'), {"passenger_count": 2}),
    good("unknown fields", trip(fleet_fee="0.75", note='{"a": [1, {"b": null}]}')),
    good("empty key", trip(**{"": "1"})),
    good("key of 100 kB", trip(**{"k" * 100_000: "1"})),
    good("key in other letters", trip(vendorid="7"), {"vendor_id": 1}),
    good("key escaped", trip().replace(b'"VendorID":1', b'"\\u0056endorID":6'), {"vendor_id": 6}),
    good("a key twice: the last counts", trip()[:-1] + b',"VendorID":2}', {"vendor_id": 2}),
    good("unknown field 100,000 deep", trip(note="[" * 100_000 + "]" * 100_000)),
    good("text of 900 kB", trip(store_and_fwd_flag=json.dumps("N" * 900_000)), {"store_and_fwd_flag": "N" * 900_000}),
    good("emoji", trip(store_and_fwd_flag='"🚕"'), {"store_and_fwd_flag": "🚕"}),
    good("emoji escaped", trip(store_and_fwd_flag='"\\ud83d\\ude95"'), {"store_and_fwd_flag": "🚕"}),
    good("NUL escaped", trip(store_and_fwd_flag='"\\u0000"'), {"store_and_fwd_flag": "\0"}),
    good("object for a text", trip(store_and_fwd_flag='{"a": [1, 2.50]}'), {"store_and_fwd_flag": '{"a": [1, 2.50]}'}),
    good("boolean for a text", trip(store_and_fwd_flag="true"), {"store_and_fwd_flag": "true"}),
    good("unknown field of half a surrogate pair", trip(note='"\\ud83d"')),
    good("minus zero", trip(fare_amount="-0", tip_amount="-0.0")),
    good("too small for a double", trip(fare_amount="1e-400", tip_amount="-1e-400")),
    good("with an exponent", trip(fare_amount="2.05E+1", VendorID="2e0"), {"vendor_id": 2}),
    good("largest amount", trip(total_amount="99999999.99")),
    good("number of 10,000 digits", trip(trip_distance="0." + "3" * 10_000)),
    good("integer with a point", trip(passenger_count="3.0"), {"passenger_count": 3}),
    good("negative amounts but the fare", trip(total_amount="-25", extra="-0.5")),
    good("dropoff before the pickup", trip(tpep_dropoff_datetime='"2024-01-15T09:59:00"'), {"trip_duration_minutes": -1.0}),
    good("dropoff in year 9999", trip(tpep_dropoff_datetime='"9999-12-31T23:59:59"'), {"trip_duration_minutes": 4194949799.98}),
    good("dropoff in year 1", trip(tpep_dropoff_datetime='"0001-01-01T00:00:00"'), {"trip_duration_minutes": -1064015160.0}),
    good("dropoff before 1970", trip(tpep_dropoff_datetime='"1969-12-31T23:59:58.5"'), {"trip_duration_minutes": -28421880.03}),
    good("pickup with a blank", trip(**pickup("2024-01-15 10:00:00"))),
    good("pickup to the nanosecond", trip(**pickup("2024-01-15T10:00:00.123456789"))),
    good("pickup a date alone", trip(**pickup("2024-01-15"))),
    good("pickup in the last second", trip(**pickup("2024-01-31T23:59:59.999999"))),
    # Other parts of the message
    good("no key", key=None),
    good("empty Kafka key", key=b""),
    good("another key", key=b"\xff\xfe\x00"),
    good("no header", headers=()),
    good("another schema id", headers=(("schema.id", b"999999"),)),
    good("schema id that is none", headers=(("schema.id", b"\xff"), ("schema.id", None))),
    good("header that mends nothing", headers=(("mends", b"\xff"), ("mends", None))),
    good("written in 2001", timestamp_ms=978_307_200_000),
    good("written in 2100", timestamp_ms=4_102_444_800_000),
]  # fmt: skip

BROKEN_RULES = [
    Event("empty object", b"{}", BROKEN_RULE, NO_PICKUP),
    Event("unknown fields alone", b'{"a": 1, "b": {"VendorID": 1}}', BROKEN_RULE, NO_PICKUP),
    Event("keys in other letters", trip().lower(), BROKEN_RULE, NO_PICKUP),
    Event("trip in an envelope", b'{"payload": ' + trip() + b"}", BROKEN_RULE, NO_PICKUP),
    broken("pickup missing", NO_PICKUP, tpep_pickup_datetime=None),
    broken("pickup null", NO_PICKUP, tpep_pickup_datetime="null"),
    broken("pickup a number of seconds", NO_PICKUP, tpep_pickup_datetime="1705312800"),
    broken("pickup a number of milliseconds", NO_PICKUP, tpep_pickup_datetime="1705312800000"),
    broken("pickup a boolean", NO_PICKUP, tpep_pickup_datetime="true"),
    broken("pickup an object", NO_PICKUP, tpep_pickup_datetime='{"date": "2024-01-15"}'),
    broken("pickup an array", NO_PICKUP, tpep_pickup_datetime='["2024-01-15T10:00:00"]'),
    *(
        broken(f"pickup {written!r}", NO_PICKUP, **pickup(written))
        for written in (
            "", " ", "null", "soon", "2024", "2024-01", "20240115", "2024-1-5 10:00:00", "24-01-15T10:00:00",
            "2024-00-15T10:00:00", "2024-13-15T10:00:00", "2024-01-00T10:00:00", "2024-01-32T10:00:00",
            "2024-02-30T10:00:00", "2023-02-29T10:00:00", "2023-11-31T10:00:00",
            "2024-01-15T24:00:00", "2024-01-15T24:30:00", "2024-01-15T10:60:00", "2024-01-15T23:59:60",
            "2024-01-15T10", "2024-01-15T10:00", "2024-01-15T10:00:00Z", "2024-01-15T10:00:00+05:00",
            "2024-01-15T10:00:00 America/New_York", "2024-01-15T10:00:00 AM", "2024-01-15t10:00:00",
            "2024-01-15TT10:00:00", "2024-01-15T10:00:00T", "2024-01-15T10:00:00.", "2024-01-15T10:00:00,5",
            "2024-01-15T10:00:00;", "2024-01-15T10:00:00.1.2", "2024-01-15T10:00:00.0123456789",
            "2024/01/15 10:00:00", "15.01.2024 10:00:00", "01/15/2024 10:00:00", "2024-W03-1", "2024-015",
            " 2024-01-15T10:00:00", "2024-01-15T10:00:00 ", "2024-01-15T10:00:00\n", "2024-01-15  10:00:00",
            "2024-01-15T10:00:00\0", "10000-01-01T00:00:00", "-2024-01-15T10:00:00", "+2024-01-15T10:00:00",
            "\uff12\uff10\uff12\uff14-01-15T10:00:00", "٢٠٢٤-01-15T10:00:00", "2024\u201101\u201115T10:00:00",
        )
    ),
    *(
        broken(f"pickup {written!r}", OUTSIDE, **pickup(written))
        for written in ("0001-01-01T00:00:00", "1969-12-31T23:59:59", "2023-12-31T23:59:59.999999", "2024-02-01",
                        "2024-02-29T00:00:00", "9999-12-31T23:59:59")
    ),
    broken("dropoff missing", NO_DROPOFF, tpep_dropoff_datetime=None),
    broken("dropoff on 30 February", NO_DROPOFF, tpep_dropoff_datetime='"2024-02-30T10:00:00"'),
    broken("dropoff in UTC", NO_DROPOFF, tpep_dropoff_datetime='"2024-01-15T10:30:00Z"'),
    broken("distance missing", NO_DISTANCE, trip_distance=None),
    broken("distance null", NO_DISTANCE, trip_distance="null"),
    broken("distance a boolean", NO_DISTANCE, trip_distance="false"),
    broken("distance an object", NO_DISTANCE, trip_distance='{"miles": 2}'),
    broken("distance an array", NO_DISTANCE, trip_distance="[2]"),
    broken("distance with a unit", NO_DISTANCE, trip_distance='"2 mi"'),
    broken("distance negative", BAD_DISTANCE, trip_distance="-1"),
    broken("distance 1e400", BAD_DISTANCE, trip_distance="1e400"),
    broken("distance -1e400", BAD_DISTANCE, trip_distance="-1e400"),
    broken("distance of 10,000 digits", BAD_DISTANCE, trip_distance="3" * 10_000),
    broken("distance a billion", BAD_DISTANCE, trip_distance="1e9"),
    broken("fare missing", NO_FARE, fare_amount=None),
    broken("fare negative", NEGATIVE_FARE, fare_amount="-0.01"),
    broken("fare 1e400", "fare_amount does not fit DECIMAL(10,2)", fare_amount="1e400"),
    broken("fare beyond its type", "fare_amount does not fit DECIMAL(10,2)", fare_amount="100000000"),
    broken("fare rounded beyond its type", "fare_amount does not fit DECIMAL(10,2)", fare_amount="99999999.995"),
    *(
        broken(f"fare {written!r}", NO_FARE, fare_amount=json.dumps(written, ensure_ascii=False))
        for written in (
            "", " ", "free", "$20", "20 ", "20\n", " 20", "20,5", "1,000.00", "NaN", "Infinity", "20d", "20f", "0x14",
            "0x1p4", "020", "+20", "20.", ".5", "2e", "1_000", "--1", "\uff12\uff10", "twenty", "null",
        )
    ),
    broken("total beyond its type", "total_amount does not fit DECIMAL(10,2)", total_amount="1e30"),
    broken("tip NaN", "tip_amount does not fit DECIMAL(10,2)", tip_amount='"NaN"'),
    broken("tip a boolean", "tip_amount does not fit DECIMAL(10,2)", tip_amount="true"),
    broken("airport fee -1e400", "Airport_fee does not fit DECIMAL(10,2)", Airport_fee="-1e400"),
    broken("vendor 1.5", "VendorID is not an integer", VendorID="1.5"),
    broken("vendor a text", "VendorID is not an integer", VendorID='"CMT"'),
    broken("vendor a boolean", "VendorID is not an integer", VendorID="true"),
    broken("vendor an object", "VendorID is not an integer", VendorID='{"id": 1}'),
    broken("zone beyond 32 bits", "PULocationID is not an integer", PULocationID="2147483648"),
    broken("zone beyond 64 bits", "PULocationID is not an integer", PULocationID="18446744073709551617"),
    broken("passengers 1e400", "passenger_count is not an integer", passenger_count="1e400"),
    broken("rate code empty", "RatecodeID is not an integer", RatecodeID='""'),
]  # fmt: skip

#: Refused by the client because of its own limit.
REFUSED_EVENTS = [
    Event("text of 10 MB", trip(store_and_fwd_flag=json.dumps("N" * 10_000_000)), REFUSED, "too large"),
    Event("a byte beyond the limit", trip(store_and_fwd_flag=json.dumps("N" * 1_000_000)), REFUSED, "too large"),
    Event("Kafka key of 2 MB", trip(), REFUSED, "too large", key=b"1" * 2_000_000),
]

#: Accepted by a client with a higher limit, but refused by the broker.
REFUSED_BY_BROKER = [
    Event("10 MB that do not compress", random.Random(1).randbytes(10_000_000), REFUSED, "too large"),
]

#: All events that Kafka accepts.
SENT = [*NO_OBJECTS, *ODD_BUT_GOOD, *BROKEN_RULES]
