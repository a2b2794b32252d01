"""What DuckDB reads from manifest lists and manifests is what pyiceberg reads from them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowException
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

from lakehouse.maintenance.locations import Location
from lakehouse.maintenance.manifests import Manifests

SCHEMA = pa.schema([pa.field("number", pa.int64()), pa.field("name", pa.string())])


def table_with_a_past(iceberg: Catalog, name: str, location: str, version: str) -> Table:
    """Three partition specs, and files that were deleted."""
    iceberg.create_namespace_if_not_exists("silver")
    table = iceberg.create_table(name, SCHEMA, location=location, properties={"format-version": version})
    for number, column in enumerate(("name", "number", None)):
        table.append(pa.table({"number": [number, number + 10], "name": ["a", f"{number}"]}, schema=SCHEMA))
        if column:
            with table.update_spec() as change:
                change.add_field(column, IdentityTransform(), f"by_{column}")
        table = iceberg.load_table(name)
    table.delete("number >= 10")
    return iceberg.load_table(name)


def lists_of(table: Table) -> set[Location]:
    return {Location.parse(snapshot.manifest_list) for snapshot in table.snapshots()}


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("folder", ["plain", "[ab]* {c,d} é"])
def test_it_agrees_with_pyiceberg(iceberg, tmp_path, version, folder):
    table = table_with_a_past(iceberg, "silver.past", f"file://{tmp_path}/{folder}", version)
    manifests = [manifest for snapshot in table.snapshots() for manifest in snapshot.manifests(table.io)]
    live = {
        Location.parse(entry.data_file.file_path)
        for manifest in manifests
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    }
    deleted = sum(manifest.deleted_files_count or 0 for manifest in manifests)

    with Manifests(table.io) as reader:
        found = reader.of(lists_of(table))
        files = set(reader.live_files(found))

    assert found.keys() == {Location.parse(manifest.manifest_path) for manifest in manifests}
    assert files == live
    assert len(live) > 3
    assert deleted > 0


def test_manifests_of_two_versions_are_read_together(iceberg, tmp_path):
    one, two = (table_with_a_past(iceberg, f"silver.v{v}", f"file://{tmp_path}/v{v}", v) for v in "12")
    with Manifests(one.io) as reader:
        apart = [set(reader.live_files(reader.of(lists_of(table)))) for table in (one, two)]
        together = set(reader.live_files(reader.of(lists_of(one) | lists_of(two))))
    assert together == apart[0] | apart[1]


def test_an_entry_that_is_not_read_ends_it(iceberg, tmp_path):
    """Else its file would seem to be nobody's."""
    table = table_with_a_past(iceberg, "silver.past", f"file://{tmp_path}/past", "2")
    with Manifests(table.io) as reader:
        found = reader.of(lists_of(table))
        more = {file: (entries or 0) + 1 for file, entries in found.items()}
        with pytest.raises(AirflowException, match=r"manifests, the first of which is file:.* entries, and the lists"):
            list(reader.live_files(more))


def test_the_file_that_cannot_be_read_is_named(iceberg, tmp_path):
    table = table_with_a_past(iceberg, "silver.past", f"file://{tmp_path}/past", "2")
    last = Location.parse(table.current_snapshot().manifest_list)
    (tmp_path / "past/metadata" / last.name).unlink()
    with Manifests(table.io) as reader, pytest.raises(AirflowException, match=last.name):
        reader.of(lists_of(table))
