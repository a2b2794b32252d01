"""A glance at a table shows what the table holds, and reads no more of its history than it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import Table

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.tables.glance import glance

NAME = "silver.cleaned_trips"
COMMITS = 5


@pytest.fixture
def table(fill, iceberg) -> Table:
    for _ in range(COMMITS):
        fill(NAME, 2)
    return iceberg.load_table(NAME)


@pytest.fixture
def look() -> Callable[[], Table]:
    return lambda: IcebergCatalogHook().glance(NAME)


def decoded(table: Table) -> int:
    """How many of its snapshots were decoded."""
    return len(table.metadata.snapshots._decoded)


def test_it_shows_what_the_table_holds(table, look):
    found = look()
    assert (found.name(), found.metadata_location) == (table.name(), table.metadata_location)
    assert found.current_snapshot() == table.current_snapshot()
    assert [*found.metadata.snapshots] == found.metadata.snapshots[:] == table.metadata.snapshots
    assert [*found.history()] == table.history()
    assert found.schema() == table.schema()
    assert found.scan().to_arrow() == table.scan().to_arrow()
    assert all(found.snapshot_by_id(snapshot.snapshot_id) == snapshot for snapshot in table.snapshots())
    assert found.snapshot_by_id(1) is None


def test_of_a_table_without_a_commit(fill, look):
    fill(NAME, 0)
    assert look().current_snapshot() is None
    assert len(look().metadata.snapshots) == 0


def test_it_decodes_the_snapshots_that_are_asked_for_and_those_after_them(table, look):
    found = look()
    assert (len(found.metadata.snapshots), decoded(found)) == (COMMITS, 0)
    newest = found.current_snapshot()
    assert decoded(found) == 1
    found.snapshot_by_id(newest.parent_snapshot_id)
    assert decoded(found) == 2


def test_a_version_is_read_once(table, look, metadata_read, fill):
    metadata_read.clear()
    assert look() is look()
    assert len(metadata_read) == 1
    fill(NAME, 1)
    metadata_read.clear()
    assert len(look().metadata.snapshots) == len(look().metadata.snapshots) == COMMITS + 1
    assert len(metadata_read) == 1


def test_a_table_of_that_name_in_another_catalog_is_another(table, look, connect, iceberg, tmp_path):
    look()
    connect("iceberg_catalog", extra={"type": "in-memory", "warehouse": f"file://{tmp_path}/other"})
    hook = IcebergCatalogHook()
    hook.catalog.create_namespace("silver")
    hook.catalog.create_table(NAME, table.schema())
    assert hook.glance(NAME).current_snapshot() is None


def test_it_cannot_be_written_to(table, look):
    with pytest.raises(NotImplementedError, match=rf"^{NAME} was loaded to be looked at\. Next: load it"):
        look().append(table.scan().to_arrow())
    with pytest.raises(NotImplementedError):
        look().refresh()


def test_a_compressed_metadata_file(table):
    location = table.metadata_location.replace(".metadata.json", ".gz.metadata.json")
    ToOutputFile.table_metadata(table.metadata, table.io.new_output(location))
    assert glance(table.name(), location, {}).current_snapshot() == table.current_snapshot()


def test_a_table_that_is_dropped_is_not_there(table, look, iceberg):
    look()
    iceberg.drop_table(NAME)
    with pytest.raises(Exception, match=rf"Iceberg table {NAME} does not exist") as raised:
        look()
    assert isinstance(raised.value.__cause__, NoSuchTableError)
