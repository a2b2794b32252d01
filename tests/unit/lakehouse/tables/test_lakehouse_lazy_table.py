"""A lazily loaded table shows the current contents, and only decodes the requested part of its history."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import Table

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.tables.lazy_table import load_lazily

NAME = "silver.cleaned_trips"
COMMITS = 5


@pytest.fixture
def table(fill, iceberg) -> Table:
    for _ in range(COMMITS):
        fill(NAME, 2)
    return iceberg.load_table(NAME)


@pytest.fixture
def look() -> Callable[[], Table]:
    return lambda: IcebergCatalogHook().lazy_table(NAME)


def decoded(table: Table) -> int:
    """Number of decoded snapshots."""
    return len(table.metadata.snapshots._decoded)


def test_it_shows_the_tables_contents(table, look):
    found = look()
    assert (found.name(), found.metadata_location) == (table.name(), table.metadata_location)
    assert found.current_snapshot() == table.current_snapshot()
    assert [*found.metadata.snapshots] == found.metadata.snapshots[:] == table.metadata.snapshots
    assert [*found.history()] == table.history()
    assert found.schema() == table.schema()
    assert found.scan().to_arrow() == table.scan().to_arrow()
    assert all(found.snapshot_by_id(snapshot.snapshot_id) == snapshot for snapshot in table.snapshots())
    assert found.snapshot_by_id(1) is None


def test_a_table_without_commits(fill, look):
    fill(NAME, 0)
    assert look().current_snapshot() is None
    assert len(look().metadata.snapshots) == 0


def test_it_decodes_the_requested_snapshots_and_later_ones(table, look):
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


def test_a_table_with_the_same_name_in_another_catalog_is_not_confused(table, look, connect, iceberg, tmp_path):
    look()
    connect("iceberg_catalog", extra={"type": "in-memory", "warehouse": f"file://{tmp_path}/other"})
    hook = IcebergCatalogHook()
    hook.catalog.create_namespace("silver")
    hook.catalog.create_table(NAME, table.schema())
    assert hook.lazy_table(NAME).current_snapshot() is None


def test_it_is_read_only(table, look):
    with pytest.raises(NotImplementedError, match=rf"^{NAME} was loaded read-only\. Next: load it"):
        look().append(table.scan().to_arrow())
    with pytest.raises(NotImplementedError):
        look().refresh()


def test_a_compressed_metadata_file(table):
    location = table.metadata_location.replace(".metadata.json", ".gz.metadata.json")
    ToOutputFile.table_metadata(table.metadata, table.io.new_output(location))
    assert load_lazily(table.name(), location, {}).current_snapshot() == table.current_snapshot()


def test_a_dropped_table_does_not_exist(table, look, iceberg):
    look()
    iceberg.drop_table(NAME)
    with pytest.raises(Exception, match=rf"Iceberg table {NAME} does not exist") as raised:
        look()
    assert isinstance(raised.value.__cause__, NoSuchTableError)
