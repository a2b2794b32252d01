"""A new field in Silver is added to an existing Gold file, without a full refresh."""

from __future__ import annotations

import shutil
from decimal import Decimal

import pyarrow as pa
import pytest

from tests.gold.gold import PROJECT, Dbt
from tests.gold.silver import Silver, odd_trips
from tests.new_field import FIELD, add_to_gold

COUNTS = f"select count(*), count({FIELD}), sum({FIELD}) from fct_trips"
FEE = pa.decimal128(10, 2)


@pytest.fixture(scope="module")
def new_dbt(tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The project with the field."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT, folder / "dbt")
    add_to_gold(folder / "dbt")
    return Dbt(folder, folder / "dbt")


def with_fee(trips: pa.Table, fee: str) -> pa.Table:
    return trips.append_column(FIELD, pa.array([Decimal(fee)] * trips.num_rows, FEE))


def test_new_trips_have_it_and_in_old_ones_it_is_null(new_gold, new_dbt, silver: Silver, tmp_path):
    old = new_gold()
    old.build(silver.append(odd_trips(0, 100, "2024-02-01 08:00:00+00")))
    gold = old.copy(tmp_path / "gold", new_dbt)

    silver.add_amount(FIELD)
    gold.build(silver.metadata, command="build")

    assert gold.query(COUNTS) == [(100, 0, None)]

    version = silver.append(with_fee(odd_trips(100, 150, "2024-02-01 08:30:00+00"), "0.75"))
    gold.build(version, command="build")

    assert gold.query(COUNTS) == [(150, 50, Decimal("37.50"))]
    [(kind, comment)] = gold.query(
        f"select data_type, comment from duckdb_columns() where table_name = 'fct_trips' and column_name = '{FIELD}'"
    )
    assert kind == "DECIMAL(10,2)"
    assert comment

    columns = ", ".join(name for (name,) in gold.query("select column_name from (describe fct_trips) order by all"))
    rows = gold.query(f"select {columns} from fct_trips order by trip_id")
    gold.build(version, "--full-refresh")
    assert gold.query(f"select {columns} from fct_trips order by trip_id") == rows
