"""The checks of rows, on small tables: lost, duplicated and altered rows, and no false positives."""

from __future__ import annotations

import duckdb
import orjson
import pytest

from chaos.row_checks import FIELDS, Verdict, check_rows

ENDS = {0: 3, 1: 2}  # partition 0: offsets 0, 1, 2; partition 1: 0, 1
TRIP = dict.fromkeys(FIELDS, "1") | {"tpep_pickup_datetime": "2024-01-01T10:00:00", "fare_amount": "12.5"}


@pytest.fixture
def db():
    """One event in each table."""
    with duckdb.connect() as db:
        position = "kafka_partition INT, kafka_offset BIGINT"
        texts = ", ".join(f"{name} VARCHAR" for name in FIELDS)
        typed = "vendor_id INT, pickup_datetime TIMESTAMP, fare_amount DECIMAL(10, 2), tip_amount DECIMAL(10, 2)"
        db.execute(f"CREATE TABLE sent ({position}, payload VARCHAR)")
        db.execute(f"CREATE TABLE raw_trips ({position}, {texts})")
        db.execute(f"CREATE TABLE cleaned_trips (trip_id VARCHAR, {position}, {typed}, total_amount DECIMAL(10, 2))")
        for table in ("rejected_events", "rejected_trips", "duplicate_trips"):
            db.execute(f"CREATE TABLE {table} ({position})")
        for at in ((0, 0), (0, 1), (0, 2), (1, 0)):
            db.execute("INSERT INTO sent VALUES (?, ?, ?)", [*at, orjson.dumps(TRIP).decode()])
            db.execute(f"INSERT INTO raw_trips VALUES (?, ?, {', '.join('?' * len(FIELDS))})", [*at, *TRIP.values()])
        for offset in (0, 1):
            db.execute(
                "INSERT INTO cleaned_trips VALUES (?, 0, ?, 1, '2024-01-01 10:00:00', 12.5, 1, 1)",
                [f"t{offset}", offset],
            )
        db.execute("INSERT INTO rejected_trips VALUES (0, 2)")
        db.execute("INSERT INTO duplicate_trips VALUES (1, 0)")
        db.execute("INSERT INTO rejected_events VALUES (1, 1)")
        window = "window_end TIMESTAMP, pickup_location_id INT"
        db.execute(f"CREATE TABLE counted_trips ({position}, {window})")
        db.execute(f"CREATE TABLE late_trips ({position})")
        db.execute(f"CREATE TABLE zone_demand ({window}, trips BIGINT)")
        db.execute("INSERT INTO counted_trips VALUES (0, 0, '2024-01-01 10:15:00', NULL)")
        db.execute("INSERT INTO late_trips VALUES (0, 1)")
        db.execute("INSERT INTO zone_demand VALUES ('2024-01-01 10:15:00', NULL, 1)")
        yield db


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ("SELECT 1", Verdict(0, 0, 0)),
        ("DELETE FROM rejected_events", Verdict(1, 0, 0)),
        # Bronze lacks it, so the row in Silver is surplus.
        ("DELETE FROM raw_trips WHERE kafka_offset = 1", Verdict(1, 1, 0)),
        # Silver lacks it, so the row in the live windows is surplus.
        ("DELETE FROM cleaned_trips WHERE kafka_offset = 1", Verdict(1, 1, 0)),
        ("INSERT INTO raw_trips FROM raw_trips", Verdict(0, 4, 0)),
        ("INSERT INTO cleaned_trips FROM cleaned_trips", Verdict(0, 2, 0)),
        ("INSERT INTO rejected_trips VALUES (0, 0)", Verdict(0, 1, 0)),
        ("INSERT INTO rejected_events VALUES (0, 7)", Verdict(0, 1, 0)),
        ("UPDATE rejected_events SET kafka_offset = 0", Verdict(1, 1, 0)),  # counts alone would not show it
        ("UPDATE raw_trips SET \"DOLocationID\" = '2' WHERE kafka_offset = 2", Verdict(0, 0, 1)),
        ('UPDATE raw_trips SET "DOLocationID" = NULL WHERE kafka_offset = 2', Verdict(0, 0, 1)),
        ("UPDATE cleaned_trips SET total_amount = NULL WHERE kafka_offset = 1", Verdict(0, 0, 1)),
        ("DELETE FROM late_trips", Verdict(1, 0, 0)),
        ("INSERT INTO late_trips VALUES (0, 0)", Verdict(0, 1, 0)),
        ("DELETE FROM counted_trips", Verdict(1, 1, 0)),
        ("UPDATE zone_demand SET trips = 2", Verdict(0, 1, 0)),
        ("UPDATE zone_demand SET pickup_location_id = 1", Verdict(1, 1, 0)),
        ("DELETE FROM zone_demand", Verdict(0, 0, 0)),  # the window is still open
        ("UPDATE cleaned_trips SET fare_amount = 12.51 WHERE kafka_offset = 1", Verdict(0, 0, 1)),
    ],
)
def test_verdict(db, change, verdict):
    db.execute(change)
    assert check_rows(db, ENDS) == verdict
