"""Changes by others to a pipeline's tables: jobs keep running, or the change is reported with a next step that works."""

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
    """Run the task of `flink_jobs`: whether it succeeded, and its output."""

    def create_tables() -> tuple[bool, str]:
        run = shell("airflow", "tasks", "test", "flink_jobs", "nyc_taxi.create_tables")
        output = run.stdout + run.stderr
        return "new_state=success" in output, output  # its exit code is 0 either way

    return create_tables


def test_a_tag_and_a_branch_do_not_matter(main_job, create_tables, trips_arrive):
    trips_arrive(seed=971)
    snapshot = table().current_snapshot()
    with table().manage_snapshots() as changes:
        changes.create_tag(snapshot.snapshot_id, "mine").create_branch(snapshot.snapshot_id, "experiment")
    trips_arrive(seed=972)
    assert create_tables()[0]
    with table().manage_snapshots() as changes:
        changes.remove_tag("mine").remove_branch("experiment")


def test_an_undeclared_column(main_job, create_tables, trips_arrive):
    with table().update_schema() as change:
        change.add_column("note", StringType())
    succeeded, output = create_tables()
    assert not succeeded
    assert f"{TABLE}.note is no longer declared" in output
    trips_arrive(seed=973)  # running jobs are not affected
    with table().update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("note")
    assert create_tables()[0]


def test_a_renamed_table(main_job, create_tables, flink_jobs_paused, trips_arrive):
    main_job.wait(main_job.ledger_at_rest, "rest", LIMIT_S)
    catalog = IcebergCatalogHook().catalog
    held = main_job.ledger().rows(TABLE)
    catalog.rename_table(TABLE, ELSEWHERE)
    try:
        succeeded, output = create_tables()
    finally:
        catalog.rename_table(ELSEWHERE, TABLE)
    assert not succeeded
    assert f"Iceberg table {TABLE} is gone; it had {held:,} rows" in output
    flink_jobs_paused()
    main_job.deploy()
    trips_arrive(seed=974)


def test_rows_added_by_another_engine_are_reported(main_job, shell):
    table().append(table().scan(limit=0).to_arrow(), snapshot_properties={"engine-name": "spark"})
    output = shell("python", "-m", "lakehouse", "health").stdout
    assert f"other writer    table {TABLE} was changed by spark at " in output
