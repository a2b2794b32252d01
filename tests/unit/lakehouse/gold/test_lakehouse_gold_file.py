"""Readers see a whole Gold file or the one before it, never a copy that a run works on."""

import os
from pathlib import Path

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from pyiceberg.table import StaticTable

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.gold import file as gold_file

TOPIC = "taxi.raw_trips"
OTHER_TABLES = ("silver.rejected_trips", "silver.duplicate_trips", "bronze.rejected_events")


def build(file: Path, trips: int) -> None:
    """What dbt leaves: the fact with so many rows."""
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE fct_trips AS SELECT range AS trip FROM range({trips})")


@pytest.fixture
def platform(fill, send):
    """Eight events that all became trips."""
    send(TOPIC, 8)
    for table, rows in {"bronze.raw_trips": 8, "silver.cleaned_trips": 8, **dict.fromkeys(OTHER_TABLES, 0)}.items():
        fill(table, rows)


@pytest.fixture
def published(platform, fill) -> Path:
    """A Gold file that readers have, from when Silver held five trips."""
    file = gold_file.published_file()
    file.parent.mkdir()
    env = gold_file.prepare("the run before")
    build(Path(env["LAKEHOUSE_GOLD_PATH"]), 8)
    gold_file.publish(env)
    build(file, 5)
    return file


def silver_rows(env: dict[str, str]) -> int:
    return row_count(StaticTable.from_metadata(env["LAKEHOUSE_SILVER_METADATA"]))


def test_a_run_gets_a_copy_of_the_published_file(platform, published):
    work = Path(gold_file.prepare("run 1")["LAKEHOUSE_GOLD_PATH"])
    assert (work.name, gold_file.count_trips(work)) == ("gold.duckdb", 5)
    build(work, 8)
    assert gold_file.count_trips(published) == 5


def test_the_first_run_starts_with_nothing(platform):
    assert not Path(gold_file.prepare("run 1")["LAKEHOUSE_GOLD_PATH"]).exists()


def test_a_full_refresh_starts_with_nothing(platform, published):
    assert not Path(gold_file.prepare("run 1", full_refresh=True)["LAKEHOUSE_GOLD_PATH"]).exists()


def test_another_table_in_the_place_of_silver_is_read_whole(platform, published, iceberg, fill):
    iceberg.drop_table("silver.cleaned_trips")
    fill("silver.cleaned_trips", 8)
    assert not Path(gold_file.prepare("run 1")["LAKEHOUSE_GOLD_PATH"]).exists()


def test_a_file_that_does_not_say_what_it_was_built_from_is_not_built_upon(platform, published):
    with duckdb.connect(str(published)) as connection:
        connection.execute("DROP TABLE built_from")
    assert not Path(gold_file.prepare("run 1")["LAKEHOUSE_GOLD_PATH"]).exists()


def test_a_run_keeps_to_one_version_of_silver(platform, published, fill):
    env = gold_file.prepare("run 1")
    fill("silver.cleaned_trips", 2)
    assert silver_rows(env) == 8
    assert silver_rows(gold_file.prepare("run 2")) == 10


def test_a_run_that_is_cleared_starts_over(platform, published):
    env = gold_file.prepare("run 1")
    build(Path(env["LAKEHOUSE_GOLD_PATH"]), 8)
    assert gold_file.prepare("run 1") == env
    assert gold_file.count_trips(Path(env["LAKEHOUSE_GOLD_PATH"])) == 5


def test_copies_of_runs_that_never_published_go(platform, published):
    copies = []
    for number in range(gold_file.KEEP_RUNS + 2):
        copies.append(Path(gold_file.prepare(f"run {number}")["LAKEHOUSE_GOLD_PATH"]).parent)
        os.utime(copies[-1], (number, number))
    assert [copy.exists() for copy in copies] == [False] * 2 + [True] * gold_file.KEEP_RUNS


def test_without_trips_there_is_nothing_to_build(fill):
    fill("silver.cleaned_trips", 0)
    with pytest.raises(AirflowSkipException, match="run taxi_trip_generator"):
        gold_file.prepare("run 1")


def test_publish_swaps_the_file_in_and_a_reader_goes_on_with_its_own(platform, published):
    env = gold_file.prepare("run 1")
    build(Path(env["LAKEHOUSE_GOLD_PATH"]), 8)
    with duckdb.connect(str(published), read_only=True) as reader:
        ledger = gold_file.publish(env)
        assert reader.execute("SELECT count(*) FROM fct_trips").fetchone() == (5,)
    assert (ledger.fct_trips, ledger.balanced) == (8, True)
    assert gold_file.count_trips(published) == 8
    with duckdb.connect(str(published), read_only=True) as reader:
        said = reader.execute("SELECT silver_snapshot_id FROM built_from").fetchone()
    assert said == (IcebergCatalogHook().table("silver.cleaned_trips").current_snapshot().snapshot_id,)
    assert list((published.parent / "runs").iterdir()) == []


def test_publish_again_changes_nothing(platform, published):
    env = gold_file.prepare("run 1")
    build(Path(env["LAKEHOUSE_GOLD_PATH"]), 8)
    assert gold_file.publish(env) == gold_file.publish(env)


@pytest.mark.parametrize("built", [7, 9])
def test_a_file_that_is_not_its_silver_is_not_published(platform, published, built):
    env = gold_file.prepare("run 1")
    build(Path(env["LAKEHOUSE_GOLD_PATH"]), built)
    with pytest.raises(AirflowException, match=f"fct_trips holds {built} rows, its version of Silver 8: not published"):
        gold_file.publish(env)
    assert gold_file.count_trips(published) == 5


def test_trips_that_came_while_dbt_ran_do_not_stop_it(platform, published, fill, send):
    env = gold_file.prepare("run 1")
    build(Path(env["LAKEHOUSE_GOLD_PATH"]), 8)
    send(TOPIC, 3)
    fill("bronze.raw_trips", 2)
    fill("silver.cleaned_trips", 1)
    assert not gold_file.publish(env).balanced
    assert gold_file.count_trips(published) == 8


def test_doubled_rows_stop_it(platform, published, fill):
    env = gold_file.prepare("run 1")
    build(Path(env["LAKEHOUSE_GOLD_PATH"]), 8)
    fill("bronze.raw_trips", 1)
    with pytest.raises(AirflowException, match="not balanced, Gold is not published: Bronze holds 1 rows more"):
        gold_file.publish(env)
    assert gold_file.count_trips(published) == 5


def test_a_file_that_nobody_built_is_named():
    with pytest.raises(AirflowException, match=r"no Gold file .*/gold/gold\.duckdb: trigger nyc_taxi_pipeline"):
        gold_file.count_trips(gold_file.published_file())
