"""The months of a file are those with nearly all of its pickup times, ignoring a few wrong clocks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from taxi_generator import GeneratorError, pickup_months

HEAD = "tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount"
JANUARY, FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1) for month in (1, 2, 3, 4))


@pytest.fixture
def file(tmp_path: Path):
    """A file with a number of trips per day, in this order; an empty day means no pickup time."""

    def file(**trips: int) -> Path:
        path = tmp_path / "trips.csv"
        path.write_text(
            "\n".join([HEAD, *(f"{day[1:].replace('_', '-')},,1,1" for day in trips for _ in range(trips[day]))])
        )
        return path

    return file


@pytest.mark.parametrize(
    ("trips", "months"),
    [
        ({"d2024_02_10": 99, "d2002_12_31": 1}, (FEBRUARY, MARCH)),
        ({"d2024_02_10": 98, "d2024_01_31": 2}, (JANUARY, MARCH)),
        ({"d2024_02_29": 50, "d2024_03_01": 50}, (FEBRUARY, APRIL)),
        ({"d2024_01_15": 1, "d2024_03_15": 1}, (JANUARY, APRIL)),
        ({"d2023_12_31": 1, "d2024_01_01": 98, "d2024_02_01": 1}, (datetime(2023, 12, 1), FEBRUARY)),
        ({"d2023_12_31": 1, "d2024_01_01": 198, "d2024_02_01": 1}, (JANUARY, FEBRUARY)),
        ({"d2024_02_10": 1, "d": 99}, (FEBRUARY, MARCH)),
        ({"d1969_12_31": 1}, (datetime(1969, 12, 1), datetime(1970, 1, 1))),
    ],
)
def test_the_fewest_months_with_99_percent(file, trips, months):
    assert pickup_months(source=file(**trips)) == months


def test_only_the_trips_that_are_sent_count(file):
    assert pickup_months(source=file(d2024_02_10=1, d2024_03_10=9), events=1) == (FEBRUARY, MARCH)


def test_synthetic_trips_are_of_january():
    assert pickup_months(events=1_000) == (JANUARY, FEBRUARY)


def test_a_file_of_a_real_month(real_file):
    assert pickup_months(source=real_file) == (JANUARY, FEBRUARY)


def test_without_a_pickup_time_there_are_no_months(file):
    with pytest.raises(
        GeneratorError, match=r"trips\.csv has no calendar months with 99 % of its pickup times\. Next: "
    ):
        pickup_months(source=file(d=3))


def test_an_endless_stream_has_no_months():
    with pytest.raises(GeneratorError, match="endless"):
        pickup_months(events=0)
