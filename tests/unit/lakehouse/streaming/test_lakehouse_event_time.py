"""How far event time has advanced, from the metadata of the commits, and the rules about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from lakehouse.streaming import event_time
from lakehouse.streaming.event_time import EventTimeProgress, progress
from lakehouse.streaming.health import JobHealth, evaluate_job, thresholds
from lakehouse.tables.bounds import latest_maximum, maxima

TEN = datetime(2024, 1, 1, 10)
COUNTED = pa.schema({"event_time": pa.timestamp("us"), "stream_watermark": pa.timestamp("us")})
WINDOWS = pa.schema({"window_end": pa.timestamp("us")})
FINE = JobHealth("nyc_taxi.live", "RUNNING", 0, 0, 1.0, {}, {}, 0, 1.0, 1.0, 0, 0.0)


def at(minutes: int) -> datetime:
    return TEN + timedelta(minutes=minutes)


@pytest.fixture
def lake(iceberg, windowed_taxi):
    """The stage, and functions that commit counted rows (event and watermark, in minutes after ten) and a closed window."""
    iceberg.create_namespace_if_not_exists("live")
    tables = {
        "live.counted_trips": iceberg.create_table("live.counted_trips", COUNTED),
        "live.zone_demand": iceberg.create_table("live.zone_demand", WINDOWS),
    }

    def commit(*rows: tuple[int, int]) -> None:
        found = [{"event_time": at(event), "stream_watermark": at(watermark)} for event, watermark in rows]
        tables["live.counted_trips"].append(pa.Table.from_pylist(found, COUNTED))

    def close(minutes: int) -> None:
        tables["live.zone_demand"].append(pa.Table.from_pylist([{"window_end": at(minutes)}], WINDOWS))

    return lambda longest_s=3600: progress(windowed_taxi.stages["live"], tables, longest_s), commit, close


def test_the_maximum_of_the_latest_commit_that_added_rows(iceberg):
    iceberg.create_namespace("live")
    table = iceberg.create_table("live.counted_trips", COUNTED)
    assert latest_maximum(table, "event_time") is None
    for times in ((5, 3), (2, 4)):
        table.append(pa.Table.from_pylist([{"event_time": at(minutes)} for minutes in times], COUNTED))
    assert latest_maximum(table, "event_time") == at(4)
    assert [value for _, value in maxima(table, "event_time")] == [at(4), at(5)]
    assert latest_maximum(table, "stream_watermark") is None  # only nulls


def test_without_rows_there_is_no_progress(lake, windowed_taxi):
    look, *_ = lake
    assert look() is None
    assert progress(windowed_taxi.stages["silver"], {}, 3600) is None


def test_the_lag_is_from_the_watermark_to_the_newest_event(lake):
    look, commit, close = lake
    commit((20, 0), (30, 10))
    assert look() == EventTimeProgress(at(30), at(10), 1200.0, 0.0)
    close(25)  # the writer of the source was restarted, and has found an earlier watermark since
    assert look() == EventTimeProgress(at(30), at(25), 300.0, 0.0)


def test_a_watermark_that_stands_still_is_followed_back_to_where_it_was_reached(lake, monkeypatch):
    look, commit, _ = lake

    def dated(table, column):
        """Commits 100 s apart, newest first."""
        return ((1_000_000 - number * 100_000, value) for number, (_, value) in enumerate(maxima(table, column)))

    monkeypatch.setattr(event_time, "maxima", dated)
    for watermark in (5, 10, 10, 10):
        commit((30, watermark))
    assert look().standing_s == 200
    assert look(longest_s=100).standing_s == 100
    commit((40, 11))
    assert look().standing_s == 0


@pytest.mark.parametrize(
    ("lag_s", "standing_s", "broken"),
    [
        (7_200, 599, {}),
        (7_201, 0, {"watermark-behind": "is 7,201 s of event time behind the newest event (limit 7200 s)"}),
        (0, 600, {"watermark-standing": "stands at 2024-01-01 10:00:00 although rows were committed for 600 s"}),
    ],
)
def test_the_rules_name_the_watermark_and_the_limit(lag_s, standing_s, broken):
    job = replace(FINE, event_time=EventTimeProgress(at(0), TEN, lag_s, standing_s))
    found = {rule.name: reason for rule, reason in evaluate_job(job, thresholds()).items() if reason}
    assert found.keys() == broken.keys()
    for name, part in broken.items():
        assert part in found[name]


def test_health_shows_the_watermark():
    job = replace(FINE, event_time=EventTimeProgress(at(30), at(10), 1200, 40))
    assert "watermark       2024-01-01 10:10:00, 0:20:00 behind the newest event, unchanged for 40 s of commits" in str(
        job
    )
