"""The cost of a run depends on its new trips, not on the history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from tests.gold.gold import Dbt, Gold
from tests.gold.silver import Silver, odd_trips

POISON = 123_456


@pytest.fixture(scope="module")
def by_date(dbt: Dbt) -> set[str]:
    """The models that are built date by date."""
    models = {name: node for name, node in dbt.manifest["nodes"].items() if name.startswith("model.")}
    return {node["name"] for node in models.values() if node["config"].get("unique_key") == "pickup_date"}


@pytest.fixture(scope="module")
def gold(new_gold: Callable[[], Gold], by_date: set[str], tmp_path_factory: pytest.TempPathFactory) -> Gold:
    """Gold built from all of January and poisoned, before 24 new trips of the 11th."""
    folder = tmp_path_factory.mktemp("silver")
    silver = Silver(folder)
    silver.append(odd_trips(0, 744, "2024-02-01 08:00:00+00"))
    old_files = list(folder.rglob("*.parquet"))
    gold = new_gold()
    gold.build(silver.append(odd_trips(744, 760, "2024-02-01 10:00:00+00")))
    for table, column in measures(gold, by_date):
        gold.query(f"update {table} set {column} = {POISON}")
    gold.query("update fct_trips set store_and_fwd_flag = 'poison'")
    for file in old_files:
        file.unlink()

    gold.build(silver.append(odd_trips(1728, 1752, "2024-02-01 10:10:00+00")))
    return gold


def test_only_dates_with_new_trips_are_rebuilt(gold, by_date):
    healed = {
        table: gold.query(f"select distinct pickup_date from {table} where {column} <> {POISON}")
        for table, column in measures(gold, by_date)
    }

    assert len(healed) == len(by_date) > 0
    assert {table: days for table, days in healed.items() if days != [(date(2024, 1, 11),)]} == {}


def test_only_new_trips_are_loaded(gold):
    assert gold.query("select count(*) from fct_trips where store_and_fwd_flag <> 'poison'") == [(24,)]


def test_only_new_files_of_silver_are_read(gold):
    # The run would have failed on the old ones, which were deleted. It staged the overlap and the new trips.
    assert gold.query("select count(*) from staging.stg_trips") == [(16 + 24,)]


def measures(gold: Gold, models: set[str]) -> list[tuple[str, str]]:
    """Each of these tables with one of its measure columns."""
    return gold.query(
        f"""
        select table_schema || '.' || table_name, min(column_name)
        from information_schema.columns
        where table_name in {tuple(models)} and (data_type = 'DOUBLE' or data_type like 'DECIMAL%')
        group by all
        """
    )
