"""Each data test of the dbt project fails if what it guards is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from tests.gold.gold import Gold, statuses
from tests.gold.mutations import BY_NAME, kind, mutations, open_to_mutations

pytestmark = pytest.mark.long

# In addition to the tests that compare marts with fct_trips. Their changes do not cancel each other out.
OF_EACH_KIND = {
    "accepted_values_stg_zones_service_zone__Airports__Boro_Zone__EWR__N_A__Yellow_Zone",
    "in_range_fct_trips_0__23__pickup_hour",
    "fct_trips_holds_every_silver_trip",
    "int_daily_summary_clean_trips_are_trips",
    "lookups_have_their_unknown_member",
    "mart_route_performance_has_all_revenue",
    "not_null_stg_trips_fare_amount",
    "relationships_mart_payment_mix_payment_type_id__payment_type_id__ref_dim_payment_types_",
    "unique_dim_rate_codes_rate_code_id",
    "unique_together_int_hourly_patterns_pickup_date__pickup_hour",
}


@pytest.fixture(scope="module")
def data_tests(built: Gold) -> list[Any]:
    """dbt's data tests with their compiled SQL."""
    return [compiled.node for compiled in built.dbt("compile", "--select", "test_type:data").result]


@pytest.fixture(scope="module")
def file(built: Gold, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_to_mutations(built.copy(tmp_path_factory.mktemp("mutations") / "gold")) as connection:
        connection.execute(f"set variable source_metadata = '{built.silver}'")
        yield connection


def test_each_fails_for_its_change(file, data_tests):
    assert BY_NAME.keys() <= {test.name for test in data_tests}
    assert [change for test in data_tests for change in overlooked(file, test)] == []


def test_dbt_reports_the_failure(built, data_tests, tmp_path):
    gold = built.copy(tmp_path / "gold")
    samples = {test.name: test for test in data_tests if test.name in OF_EACH_KIND or "_covers_every_" in test.name}
    assert {kind(test) for test in samples.values()} == {kind(test) for test in data_tests}
    with open_to_mutations(gold) as connection:
        for test in samples.values():
            connection.execute(mutations(test)[0])

    result = gold.dbt("test", "--select", *samples)

    assert not result.success
    assert statuses(result) == dict.fromkeys(samples, "fail")


def overlooked(file: duckdb.DuckDBPyConnection, test: Any) -> list[str]:
    """The changes that this test does not detect."""
    assert file.execute(test.compiled_code).fetchall() == [], f"{test.name} fails before anything is broken"
    found = []
    for change in mutations(test):
        file.execute("begin")
        file.execute(change)
        if not file.execute(test.compiled_code).fetchall():
            found.append(f"{test.name}: {change}")
        file.execute("rollback")
    return found
