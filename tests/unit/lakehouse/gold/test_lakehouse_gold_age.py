"""The age of Gold is that of the first rows of its source that it lacks."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowException
from pyiceberg.table.snapshots import Operation, Summary

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.gold import age, file
from lakehouse.gold.pin import SourceVersion
from lakehouse.tables.history import adds_rows, removes_rows

HOUR_S = 3600


@pytest.fixture
def rows(taxi, fill, monkeypatch):
    """Add three rows to the source; their age is evaluated a day later."""
    monkeypatch.setattr(age, "time", SimpleNamespace(time=lambda: time.time() + 24 * HOUR_S))
    return lambda: fill(taxi.gold.source, 3)


@pytest.fixture
def publish(taxi):
    """Publish Gold built from the current source; set the file's time this many hours later."""

    def publish(hours: float = 0) -> Path:
        published = file.published_file(taxi)
        published.parent.mkdir(parents=True, exist_ok=True)
        file._record_version(published, SourceVersion.of(IcebergCatalogHook().table(taxi.gold.source)))
        os.utime(published, (published.stat().st_mtime + hours * HOUR_S,) * 2)
        return published

    return publish


def hours(pipeline) -> int:
    return round(age.age_s(pipeline) / HOUR_S)


def test_the_age_is_zero_if_gold_has_every_row(taxi, rows, publish):
    rows()
    publish()
    assert age.age_s(taxi) == 0


def test_the_age_is_zero_if_the_source_is_empty(taxi, fill):
    fill(taxi.gold.source, 0)
    assert age.age_s(taxi) == 0


def test_the_age_is_that_of_the_first_rows_that_it_lacks(taxi, rows, publish):
    rows()
    assert hours(taxi) == 24  # nothing was published yet
    publish()
    rows()
    assert hours(taxi) == 24
    publish(hours=20)
    rows()
    assert hours(taxi) == 4  # it was complete then, whatever the history says


def test_a_rewrite_and_an_empty_commit_do_not_count(taxi, rows, iceberg):
    rows()
    snapshot = iceberg.load_table(taxi.gold.source).current_snapshot()
    assert adds_rows(snapshot)
    for summary in (Summary(Operation.REPLACE, **{"added-records": "3"}), Summary(Operation.APPEND), None):
        changed = snapshot.model_copy(update={"summary": summary})
        assert not adds_rows(changed)
        assert not removes_rows(changed)


def test_gold_lacks_the_rows_of_a_replaced_source(taxi, rows, publish, iceberg):
    rows()
    publish(hours=20)
    iceberg.drop_table(taxi.gold.source)
    rows()
    assert hours(taxi) == 4


def test_a_file_that_cannot_be_read_is_named(taxi, rows):
    rows()
    published = file.published_file(taxi)
    published.parent.mkdir(parents=True)
    published.write_text("no database")
    with pytest.raises(AirflowException, match=rf"Gold file {published} cannot be read: .*Next: "):
        age.age_s(taxi)


def test_a_file_without_a_recorded_version_does_not_count(taxi, rows):
    rows()
    published = file.published_file(taxi)
    published.parent.mkdir(parents=True)
    duckdb.connect(str(published)).close()
    assert hours(taxi) == 24
