"""The ledger of event time: each counted row is in one closed window or in an open one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.quality import windows as module
from lakehouse.quality.ledger import Ledger, PartitionLedger, StageLedger
from lakehouse.quality.windows import WindowLedger, read_windows

TEN = datetime(2024, 1, 1, 10)
COUNTED = pa.schema({"window_end": pa.timestamp("us"), "kafka_partition": pa.int32(), "kafka_offset": pa.int64()})
CLOSED = pa.schema({"window_end": pa.timestamp("us"), "trips": pa.int64()})


def end(quarter: int) -> datetime:
    return TEN + timedelta(minutes=15 * quarter)


@pytest.fixture
def live(windowed_taxi):
    return windowed_taxi.stages["live"]


@pytest.fixture
def count(iceberg) -> Callable[..., None]:
    """Append counted rows, by the number of their window."""
    return appender(iceberg, "live.counted_trips", COUNTED, lambda quarter: {"window_end": end(quarter)})


@pytest.fixture
def close(iceberg) -> Callable[..., None]:
    """Append closed windows: their numbers, and the rows of each."""
    return appender(iceberg, "live.zone_demand", CLOSED, lambda found: {"window_end": end(found[0]), "trips": found[1]})


def appender(iceberg: SqlCatalog, name: str, schema: pa.Schema, row: Callable[..., dict]) -> Callable[..., None]:
    iceberg.create_namespace_if_not_exists("live")
    table = iceberg.create_table(name, schema)
    return lambda *found: table.refresh().append(pa.Table.from_pylist([row(one) for one in found], schema))


def test_a_stage_without_windows_has_no_such_ledger(windowed_taxi):
    assert read_windows(windowed_taxi.stages["silver"]) is None


def test_before_the_first_window_is_closed_all_rows_are_in_open_ones(live, count, close):
    assert read_windows(live) == WindowLedger(0, 0, 0)
    count(0, 1)
    assert read_windows(live) == WindowLedger(2, 0, 2)


def test_windows_that_end_with_the_last_closed_one_are_closed(live, count, close):
    count(0, 0, 1, 2, 2, 3)
    close((0, 1), (0, 1), (1, 1))  # two zones in the first window
    found = read_windows(live)
    assert found == WindowLedger(6, 3, 3, 0, end(1))
    assert found.difference == 0


@pytest.mark.parametrize(
    ("closed", "difference"),
    [((0, 1), 1), ((0, 3), -1)],
    ids=["a row is in no window", "a window has a row that was not counted"],
)
def test_a_difference_that_stays_is_found(live, count, close, monkeypatch, closed, difference):
    monkeypatch.setattr(module, "COMMIT_LIMIT_S", 0.1)
    count(0, 0, 1)
    close(closed)
    assert read_windows(live).difference == difference


def test_the_other_commit_of_the_checkpoint_is_awaited(live, count, close, monkeypatch):
    """Windows were committed, their rows not yet."""
    close((0, 2))
    load = IcebergCatalogHook.table

    def commit_late(hook, name):
        table = load(hook, name)
        if name == "live.counted_trips" and not table.current_snapshot():
            count(0, 0)
        return table

    monkeypatch.setattr(IcebergCatalogHook, "table", commit_late)
    assert read_windows(live) == WindowLedger(2, 2, 0, 0, end(0))


@pytest.mark.parametrize(("erased", "difference"), [(0, -2), (1, -2), (2, 0), (9, 0)])
def test_closed_windows_still_count_erased_rows(erased, difference):
    assert WindowLedger(counted=8, closed=10, open=0, erased=erased).difference == difference


def test_the_ledger_shows_windows_and_is_red_if_they_lack_a_row(windowed_taxi, live):
    rows = {0: PartitionLedger(7, {"counted": 6, "late": 1})}
    windows = WindowLedger(6, 4, 2, 0, end(1))
    stage = StageLedger(live, rows, windows=windows)
    ledger = Ledger(windowed_taxi.model_copy(update={"gold": None}), (stage,))
    assert ledger.balanced
    title, line = str(ledger).split("\n\n")[1].splitlines()
    assert title.split("  ")[0] == "windows"
    assert line.split() == ["all", "6", "4", "2", "2024-01-01", "10:15:00"]

    broken = replace(ledger, stages=(replace(stage, windows=replace(windows, closed=3)),))
    assert not broken.balanced
    assert broken.errors == ["nyc_taxi.live counted 6 rows in windows, but 3 are in closed ones and 2 in open ones"]
    assert broken.stages[0].windows.as_dict() == {
        "counted": 6, "closed": 3, "open": 2, "erased": 0, "closed_until": "2024-01-01T10:15:00",
    }  # fmt: skip
