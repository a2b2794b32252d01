"""A full refresh has the same result as any sequence of incremental runs, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.gold.gold import Gold
from tests.gold.silver import Silver, odd_trips

pytestmark = pytest.mark.long

Rows = dict[str, list[tuple]]

# These contain the rows staged by the last run, which differ.
OF_ONE_RUN = {"stg_trips", "int_trip_metrics"}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Versions of a growing table of January."""
    table = Silver(tmp_path_factory.mktemp("silver"))
    commits = [
        (0, 500, "08:00"),  # the first three weeks
        (500, 744, "10:00"),  # the others
        (744, 780, "11:30"),  # late trips of the first two days
        (1500, 1700, "10:45"),  # visible after trips that arrived later
        (1000, 1300, "11:40"),
    ]
    return [table.append(odd_trips(first, last, f"2024-02-01 {at}:00+00")) for first, last, at in commits]


@pytest.fixture(scope="module")
def refreshed(versions: list[str], built: Gold, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """A full refresh from the whole table, in a file that had other trips."""
    gold = built.copy(tmp_path_factory.mktemp("refreshed") / "gold")
    gold.build(versions[-1], "--full-refresh")
    assert gold.query("select count(*) from fct_trips") == [(1280,)]
    return gold.rows()


def test_a_run_for_every_commit_and_one_without_new_trips(new_gold, versions, refreshed):
    gold = new_gold()
    for version in [*versions, versions[-1]]:
        gold.build(version)

    assert differences(gold.rows(), refreshed) == OF_ONE_RUN


def test_partially_failed_runs(new_gold, versions, refreshed):
    gold = new_gold()
    gold.build(versions[0])
    with broken(gold, "intermediate.int_daily_summary"):
        fail(gold, versions[2], at="int_daily_summary")  # only fct_trips gets the trips
    with broken(gold, "main.mart_hourly_demand"):
        fail(gold, versions[3], at="mart_hourly_demand")  # the other marts get them
    gold.build(versions[3])
    gold.build(versions[4])

    assert differences(gold.rows(), refreshed) == OF_ONE_RUN


def differences(rows: Rows, others: Rows) -> set[str]:
    """The tables and views with different rows."""
    assert rows.keys() == others.keys()
    return {name for name in rows if rows[name] != others[name]}


@contextmanager
def broken(gold: Gold, table: str) -> Iterator[None]:
    """A table that dbt cannot write to, because a column is missing."""
    gold.query(f"alter table {table} rename column trip_count to mislaid")
    yield
    gold.query(f"alter table {table} rename column mislaid to trip_count")


def fail(gold: Gold, version: str, at: str) -> None:
    """Run, and check that this model failed."""
    gold.silver = version
    result = gold.dbt("run")
    assert [node.node.name for node in result.result if node.status == "error"] == [at]
