"""What others do to the tables of a pipeline: the jobs go on, or it is refused with the reason, and the way back works."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyiceberg.table import Table
from pyiceberg.types import StringType

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

LIMIT_S = 300
TABLE, ELSEWHERE = "silver.rejected_trips", "silver.mine"


def table() -> Table:
    return IcebergCatalogHook().table(TABLE)


@pytest.fixture
def create_tables(shell) -> Callable[[], tuple[bool, str]]:
    """The task of `flink_jobs`: whether it succeeded, and all that it said."""

    def create_tables() -> tuple[bool, str]:
        run = shell("airflow", "tasks", "test", "flink_jobs", "nyc_taxi.create_tables")
        said = run.stdout + run.stderr
        return "new_state=success" in said, said  # its exit code is 0 either way

    return create_tables


def test_a_tag_and_a_branch_hinder_nothing(main_job, create_tables, trips_arrive):
    trips_arrive(seed=971)
    snapshot = table().current_snapshot()
    with table().manage_snapshots() as changes:
        changes.create_tag(snapshot.snapshot_id, "mine").create_branch(snapshot.snapshot_id, "experiment")
    trips_arrive(seed=972)
    assert create_tables()[0]
    with table().manage_snapshots() as changes:
        changes.remove_tag("mine").remove_branch("experiment")


def test_a_column_that_is_not_declared(main_job, create_tables, trips_arrive):
    with table().update_schema() as change:
        change.add_column("note", StringType())
    succeeded, said = create_tables()
    assert not succeeded
    assert f"{TABLE}.note is no longer declared" in said
    trips_arrive(seed=973)  # what runs goes on
    with table().update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("note")
    assert create_tables()[0]


def test_a_table_that_was_renamed(main_job, create_tables, flink_jobs_paused, trips_arrive):
    main_job.wait(main_job.ledger_at_rest, "rest", LIMIT_S)
    catalog = IcebergCatalogHook().catalog
    held = main_job.ledger().rows(TABLE)
    catalog.rename_table(TABLE, ELSEWHERE)
    try:
        succeeded, said = create_tables()
    finally:
        catalog.rename_table(ELSEWHERE, TABLE)
    assert not succeeded
    assert f"Iceberg table {TABLE} is gone; it held {held:,} rows" in said
    flink_jobs_paused()
    main_job.deploy()
    trips_arrive(seed=974)


def test_rows_that_another_engine_adds_are_named(main_job, shell):
    table().append(table().scan(limit=0).to_arrow(), snapshot_properties={"engine-name": "spark"})
    said = shell("python", "-m", "lakehouse", "health").stdout
    assert f"other writer    table {TABLE} was changed by spark at " in said
