"""Gold without the platform: dbt in this process, on Silver tables in folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gold.gold import Dbt, Gold
from tests.gold.silver import Silver, generated_trips


@pytest.fixture(scope="session")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    return Dbt(tmp_path_factory.mktemp("dbt"))


@pytest.fixture(scope="session")
def new_gold(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Gold]:
    return lambda: Gold(dbt, tmp_path_factory.mktemp("gold") / "file")


@pytest.fixture
def silver(tmp_path: Path) -> Silver:
    return Silver(tmp_path / "silver")


@pytest.fixture(scope="session")
def built(new_gold: Callable[[], Gold], tmp_path_factory: pytest.TempPathFactory) -> Gold:
    """Gold of the default 10,000 events, with tests run. Only change copies of it."""
    table = Silver(tmp_path_factory.mktemp("silver"))
    gold = new_gold()
    statuses = gold.build(table.append(generated_trips(10_000, "2024-02-01 10:00:00+00")), command="build")
    assert "warn" not in statuses.values()
    return gold
