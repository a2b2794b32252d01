"""Exactly the unreferenced files go to quarantine, and can be restored; in case of doubt, files stay."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowException
from pyiceberg.table.statistics import PartitionStatisticsFile, StatisticsFile
from pyiceberg.table.update import SetLocationUpdate, SetPartitionStatisticsUpdate
from pyiceberg.types import StringType
from streamed import DAYS, NAME, SCHEMA, age, append, files_of, reload, rewrite

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance import locations, orphans
from lakehouse.maintenance.locations import Listed, Location, roots
from lakehouse.maintenance.orphans import find, remove
from lakehouse.maintenance.quarantine import Quarantine

DAY_S = 86_400
ALL = 100.0  # percent


def days_ago(days: float) -> int:
    return int((time.time() - days * DAY_S) * 1000)


def found(table, older_than_days: float = 3, most_percent: float = ALL) -> set[Path]:
    return {Path("/", file.location.path) for file in find(table, days_ago(older_than_days), most_percent).files}


def old(table) -> None:
    """Make every file of the table a month old."""
    for path in files_of(table):
        age(path, 30 * DAY_S)


@pytest.fixture
def lived(trips, plant):
    """A table with a long history, statistics, a tag and a branch."""
    first = append(trips, 5)
    append(trips, 5, DAYS[1])
    trips.manage_snapshots().create_tag(first, "kept").create_branch(first, "aside").commit()
    trips.overwrite(trips.scan().to_arrow().slice(2))
    trips.delete("trip_id = 'trip 1-4'")
    with trips.update_schema() as change:
        change.add_column("note", StringType())
    expired = trips.current_snapshot().snapshot_id
    append(trips, 2)
    rewrite(trips)
    current = trips.current_snapshot().snapshot_id
    statistics = plant(trips, "metadata/a.stats")
    blobs = {"snapshot-id": current, "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": []}
    with trips.update_statistics() as update:
        update.set_statistics(StatisticsFile(**{"statistics-path": f"file:{statistics}", **blobs}))
    of_partitions = PartitionStatisticsFile(
        **{"snapshot-id": current, "statistics-path": str(plant(trips, "metadata/b.parquet")), "file-size-in-bytes": 1}
    )
    reload().catalog.commit_table(reload(), (), (SetPartitionStatisticsUpdate(partition_statistics=of_partitions),))
    trips.refresh().maintenance.expire_snapshots().by_id(expired).commit()
    plant(trips, "metadata/version-hint.text")
    return trips.refresh()


def test_exactly_the_planted_files_are_found(lived, plant):
    old(lived)
    really = found(lived)
    assert [path.suffix for path in really] == [
        ".avro",
        ".avro",
    ]  # the manifest list and a manifest of the expired snapshot
    planted = {
        plant(lived, "data/pickup_date=2024-01-01/in-flight.parquet"),
        plant(lived, "data/pickup_date=2024-01-01/.in-flight.parquet.crc"),
        plant(lived, "data/a#b?c%20d.parquet"),
        plant(lived, "metadata/00099-failed.metadata.json"),
        plant(lived, "metadata/.gone.avro.crc"),  # its file is gone
    }
    plant(lived, "data/young.parquet", days=2.9)
    plant(lived, "data/young-checksum.parquet")
    plant(lived, "data/.young-checksum.parquet.crc", days=1)
    plant(lived, "_another_program/state")
    plant(lived, "data/.hidden")
    some_file = Location.parse(next(iter(lived.scan().plan_files())).file.file_path)
    plant(lived, f"data/{Path(some_file.path).parent.name}/.{some_file.name}.crc")
    assert found(lived) == really | planted
    rows = lived.scan().to_arrow()
    batch = remove(lived, find(lived, days_ago(3), ALL), lambda: None)
    assert found(lived) == set()
    assert {Path("/", kept.original.path) for kept in Quarantine().kept(batch=batch.name)} == really | planted
    assert reload().scan().to_arrow() == rows
    for ref in ("kept", "aside"):
        assert reload().scan(snapshot_id=reload().snapshot_by_name(ref).snapshot_id).to_arrow().num_rows == 5


def test_partition_folders_are_searched_whatever_the_columns_name(iceberg, tmp_path, plant):
    iceberg.create_namespace("silver")
    schema = pa.schema([("_col", pa.string()), (".n", pa.int64())])
    with iceberg.create_table_transaction(NAME, schema) as draft:
        draft.update_spec().add_identity("_col").add_identity(".n").commit()
    table = iceberg.load_table(NAME)
    table.append(pa.table([["x"], [1]], schema=schema))
    old(table)
    planted = {plant(table, f"data/{below}") for below in ("_col=x/a.parquet", "_col=x/.n=1/b.parquet")}
    for others in ("_delta_log/0.json", ".hive-staging_1/_col=x/c", "_col=x/_tmp/d", "_col=x/_e", "_col/f", "_col=g"):
        plant(table, f"data/{others}")
    assert found(table) == planted


def test_two_spellings_in_one_table(iceberg, tmp_path, plant):
    iceberg.create_namespace("silver")
    table = iceberg.create_table(NAME, SCHEMA, location=f"file:{tmp_path}/trips")  # as Java writes it
    append(table)
    assert not table.metadata_location.startswith("file://")
    iceberg.commit_table(table, (), (SetLocationUpdate(location=f"file://{tmp_path}/trips"),))
    append(table)
    old(table)
    assert len({Location.parse(path) for path in table.inspect.files()["file_path"].to_pylist()}) == 2
    assert found(table) == set()
    assert found(table, 3) | {plant(table, "data/x")} == found(table)


def test_a_table_without_a_snapshot_keeps_its_only_metadata(trips, plant):
    old(trips)
    assert found(trips) == set()
    assert found(trips) | {plant(trips, "data/x")} == found(trips)
    remove(trips, find(trips, days_ago(3), ALL), lambda: None)
    assert reload().scan().to_arrow().num_rows == 0


def test_a_file_that_is_committed_after_the_listing_is_kept(trips, monkeypatch):
    listing = orphans.list_files

    def and_then_a_commit(*where):
        listed = list(listing(*where))
        append(reload())
        old(trips)
        return [*listed, *(file for file in listing(*where) if file not in listed)]

    monkeypatch.setattr(orphans, "list_files", and_then_a_commit)
    assert found(trips) == set()


def test_a_file_that_is_committed_while_it_goes_to_quarantine_is_moved_back(trips, plant):
    """By a writer that was stopped for longer than the minimum age."""
    append(trips, 3)
    late = Path("/", Location.parse(next(iter(trips.scan().plan_files())).file.file_path).path)
    committed = trips.metadata_location
    with_file, trips.metadata_location = committed, trips.metadata.metadata_log[-1].metadata_file
    _point_to(trips.metadata_location)  # as if the commit had not happened yet
    old(trips)
    seen = find(reload(), days_ago(3), ALL)
    assert late in {Path("/", file.location.path) for file in seen.files}
    [data] = [file for file in seen.files if file.location.path == str(late).lstrip("/")]
    only = orphans.Orphans(seen.listed, (data,))
    remove(reload(), only, lambda: _point_to(with_file))
    assert late.exists()
    assert reload().scan().to_arrow().num_rows == 3
    assert Quarantine().kept() == []


def _point_to(metadata_location: str) -> None:
    from pyiceberg.catalog.sql import IcebergTables
    from sqlalchemy import update

    with IcebergCatalogHook().catalog.engine.begin() as connection:
        connection.execute(update(IcebergTables).values(metadata_location=metadata_location))


def test_implausibly_many_orphans(trips, plant):
    for _ in range(10):
        append(trips)
    for number in range(20):
        plant(trips, f"data/{number}")
    assert len(found(trips)) == 20
    with pytest.raises(
        AirflowException, match=r"20 of the \d+ files of silver.cleaned_trips seem to be orphans, more than 25 %"
    ):
        found(trips, most_percent=25)


def test_the_share_does_not_count_with_few_files(trips, plant):
    assert found(trips, most_percent=1) | {plant(trips, "data/x")} == found(trips, most_percent=1)


@pytest.mark.parametrize("what", ["snap-", "-m0.avro"])
def test_unreadable_metadata_stops_it(trips, plant, what):
    append(trips)
    append(trips)
    orphan = plant(trips, "data/x")
    [broken, *_] = [
        path for path in files_of(trips) if what in path.name and (what == "snap-") == ("snap-" in path.name)
    ]
    broken.write_bytes(b"Obj\1 but no more")
    with pytest.raises(
        AirflowException, match=r"of silver\.cleaned_trips cannot be read .*nothing is removed.*restore"
    ):
        found(trips)
    broken.unlink()
    with pytest.raises(AirflowException, match="cannot be read"):
        found(trips)
    assert orphan.exists()


def test_an_incomplete_listing_stops_it(trips, monkeypatch):
    def fail(*_):
        raise OSError("AWS Error ACCESS_DENIED")

    monkeypatch.setattr(orphans, "list_files", fail)
    with pytest.raises(AirflowException, match=r"cannot be listed completely \(AWS Error ACCESS_DENIED\): nothing was"):
        found(trips)


@pytest.mark.parametrize("below", ["", "/nested/deep"])
def test_overlapping_tables_are_rejected(iceberg, trips, below):
    iceberg.create_table("silver.inner", SCHEMA, location=trips.location() + below)
    for name in (NAME, "silver.inner"):
        with pytest.raises(AirflowException, match=r"overlap: an orphan of one.*Nothing was removed.*move one"):
            found(iceberg.load_table(name))


PLACES = ["write.data.path", "write.metadata.path"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("mine", "theirs"), [("trips", "trips/inner"), ("trips/inner", "trips"), ("trips", "trips")])
def test_folders_in_properties_count_too(iceberg, trips, tmp_path, place, mine, theirs):
    """A table's files may be outside of its location."""
    with trips.transaction() as change:
        change.set_properties({place: f"file://{tmp_path}/{mine}"})
    iceberg.create_namespace("deep.er")
    iceberg.create_table("deep.er.inner", SCHEMA, properties={"write.data.path": f"file:{tmp_path}/{theirs}"})
    for name in (NAME, "deep.er.inner"):
        with pytest.raises(AirflowException, match=r"overlap: an orphan of one.*Nothing was removed.*move one"):
            found(iceberg.load_table(name))


def test_a_table_is_cleaned_wherever_its_files_are(trips, tmp_path, plant):
    append(trips)
    places = {place: f"file:{tmp_path}/elsewhere/{place}" for place in PLACES}
    with trips.transaction() as change:
        change.set_properties(places)
    append(trips)
    old(trips)
    for file in [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]:
        age(file, 30 * DAY_S)
    for name in ("data/version-hint.text", "metadata/version-hint.text"):
        hint = tmp_path / f"elsewhere/write.{name.replace('/', '.path/')}"
        hint.write_text("1")
        age(hint, 30 * DAY_S)
    assert len(list((tmp_path / "elsewhere").rglob("*.parquet"))) == 1
    orphan = tmp_path / "elsewhere/write.data.path/version-hint.text"  # the one in the metadata folder is the table's
    planted = plant(trips, "data/x")
    assert found(trips) == {orphan, planted}
    remove(trips, find(trips, days_ago(3), ALL), lambda: None)
    assert not orphan.exists()
    assert reload().scan().to_arrow().num_rows == 2
    assert Quarantine().restore(roots(trips)).files == 2
    assert orphan.exists()


def test_a_table_in_another_store_than_the_quarantine_is_rejected(trips):
    with trips.transaction() as change:
        change.set_properties({"write.data.path": "s3://b/trips"})
    with pytest.raises(AirflowException, match=r"s3://b/trips, a folder of silver\.cleaned_trips, is in another"):
        found(trips)


def test_the_other_tables_are_only_glanced_at(iceberg, trips, fill, monkeypatch):
    fill("silver.rejected_trips", 1)
    loaded, load = [], iceberg.load_table
    monkeypatch.setattr(type(iceberg), "load_table", lambda self, name: loaded.append(name) or load(name))
    assert found(trips) == set()
    assert loaded == [("silver", "cleaned_trips")]  # only itself, after the listing


def test_tables_in_nested_namespaces_count(iceberg, trips):
    for namespace in ("a", "a.b", "a.b.c"):
        iceberg.create_namespace(namespace)
    for name in ("a.b.c.deep", "a.flat"):
        iceberg.create_table(name, SCHEMA)
    assert sorted(".".join(table.name()) for table in IcebergCatalogHook().every_table()) == [
        "a.b.c.deep",
        "a.flat",
        NAME,
    ]


def test_a_table_with_a_similar_name_does_not_overlap(iceberg, trips):
    iceberg.create_table("silver.other", SCHEMA, location=trips.location() + "_before_replay")
    assert found(trips) == set()


def test_gc_disabled_is_rejected(trips):
    with trips.transaction() as change:
        change.set_properties({"gc.enabled": "false"})
    with pytest.raises(AirflowException, match=r"has gc.enabled = false.*Nothing was removed"):
        found(trips)


def test_two_names_of_one_store_are_rejected(trips, monkeypatch):
    append(trips)
    old(trips)
    parse = Location.parse
    monkeypatch.setattr(
        Location, "parse", lambda text: parse(text.replace("file://", "nfs://host") if "/data/" in text else text)
    )
    with pytest.raises(
        AirflowException, match=r"has the path of nfs://host/.*two names of one store\. Nothing was removed"
    ):
        found(trips)


def test_without_the_lease_nothing_is_moved(trips, plant):
    orphan = plant(trips, "data/x")

    def lost():
        raise AirflowException("lost")

    with pytest.raises(AirflowException, match="lost"):
        remove(trips, find(trips, days_ago(3), ALL), lost)
    assert orphan.exists()


@pytest.fixture
def taken(trips, plant):
    """Two files in quarantine; the second has a checksum file."""
    append(trips)
    for below, text in (("data/x", "one"), ("data/y", "two"), ("data/.y.crc", "sum")):
        plant(trips, below, text=text)
    return remove(trips, find(trips, days_ago(3), ALL), lambda: None)


def test_round_trip(trips, taken):
    folder = Path("/", Location.parse(trips.location()).path)
    original = str(folder / "data/x").lstrip("/")
    assert Path("/", taken.path, "file/-", original).read_text() == "one"
    assert Quarantine().restore(roots(trips)).files == 3
    assert [(folder / "data" / name).read_text() for name in ("x", "y", ".y.crc")] == ["one", "two", "sum"]
    assert Quarantine().kept() == []
    assert reload().scan().to_arrow().num_rows == 1


def test_restore_of_a_table_or_a_batch(taken):
    nowhere = [Location.parse("file:///nowhere")]
    assert Quarantine().restore(nowhere).files == 0
    assert Quarantine().restore(batch="20000101T000000Z").files == 0
    assert Quarantine().restore(batch=taken.name).files == 3


def test_nothing_is_overwritten(trips, taken, plant):
    there = plant(trips, "data/x", text="another")
    done = Quarantine().restore()
    assert (done.files, len(done.left)) == (2, 1)
    assert " exists: " in done.left[0]
    assert there.read_text() == "another"
    assert [kept.original.name for kept in Quarantine().kept()] == ["x"]


@pytest.fixture
def copies(iceberg, tmp_path) -> Path:
    """The original location of a file with several copies in quarantine: two complete ones, and partial ones around them."""
    original = tmp_path / "trips/data/x"
    for number, text in enumerate(("wh", "whole", "whole", "who")):
        copy = Path("/", Quarantine().folder.path, f"2026010{number + 1}T000000Z/file/-/{str(original)[1:]}")
        copy.parent.mkdir(parents=True)
        copy.write_text(text)
    return original


def test_of_several_copies_the_newest_complete_one_is_restored(copies):
    assert (Quarantine().restore().files, copies.read_text()) == (1, "whole")
    assert [kept.batch for kept in Quarantine().kept()] == [f"2026010{day}T000000Z" for day in (1, 2, 4)]
    done = Quarantine().restore()
    assert (done.files, len(done.left)) == (0, 1)
    assert " exists: " in done.left[0]


def test_a_partial_copy_is_not_restored_even_on_request(copies):
    done = Quarantine().restore(batch="20260104T000000Z")
    assert (done.files, copies.exists()) == (0, False)
    assert "has 3 bytes, but another copy has 5: restore batch 20260103T000000Z" in done.left[0]
    assert Quarantine().restore(batch="20260102T000000Z").files == 1


def test_a_committed_file_is_moved_back_even_if_another_move_fails(trips, plant, monkeypatch):
    append(trips, 3)
    data = Location.parse(next(iter(trips.scan().plan_files())).file.file_path)
    lost = Location.parse(str(plant(trips, "data/x")))
    files = tuple(Listed(file, 1, 0) for file in (data, lost))
    put = Quarantine.put

    def fail(self, batch, file):
        if file == lost:
            raise OSError("AWS Error SLOW_DOWN")
        put(self, batch, file)

    monkeypatch.setattr(Quarantine, "put", fail)
    with pytest.raises(OSError, match="SLOW_DOWN"):
        remove(trips, orphans.Orphans(2, files), lambda: None)
    assert reload().scan().to_arrow().num_rows == 3


def test_purge_waits_for_the_minimum_age(trips, taken):
    now = datetime.now(UTC)
    assert Quarantine().purge(IcebergCatalogHook().every_table(), now - timedelta(days=7)).files == 0
    assert Quarantine().purge(IcebergCatalogHook().every_table(), now + timedelta(days=1), dry_run=True).files == 3
    assert len(Quarantine().kept()) == 3
    done = Quarantine().purge(IcebergCatalogHook().every_table(), now + timedelta(days=1))
    assert (done.files, done.bytes, done.left) == (3, 9, ())
    assert not Path("/", taken.path).exists()


def test_purge_keeps_what_a_table_needs(trips, taken):
    needed = Path("/", Location.parse(next(iter(trips.scan().plan_files())).file.file_path).path)
    Quarantine().put(taken, Location.parse(str(needed)))  # by mistake
    done = Quarantine().purge(IcebergCatalogHook().every_table(), datetime.now(UTC) + timedelta(days=1))
    assert (done.files, len(done.left)) == (3, 1)
    assert "is part of a table: restore batch" in done.left[0]
    Quarantine().restore()
    assert reload().scan().to_arrow().num_rows == 1


def test_purge_deletes_a_file_that_is_complete_at_its_original_location(trips, plant):
    append(trips)
    needed = Path("/", Location.parse(next(iter(trips.scan().plan_files())).file.file_path).path)
    copies = [
        plant(
            trips,
            f"../../_quarantine/2026010{day}T000000Z/file/-/{str(needed)[1:]}",
            text=needed.read_text("latin-1")[:length],
        )
        for day, length in ((1, 2), (2, 5))
    ]
    soon = datetime.now(UTC) + timedelta(days=1)
    assert Quarantine().purge(IcebergCatalogHook().lazy_tables(), soon).files == 2
    assert not any(copy.exists() for copy in copies)
    assert reload().scan().to_arrow().num_rows == 1


def test_purge_keeps_what_a_table_needs_by_another_name_of_its_store(trips, plant, monkeypatch):
    append(trips)
    needed = Location.parse(next(iter(trips.scan().plan_files())).file.file_path)
    Path("/", needed.path).rename(plant(trips, "../../_quarantine/20260101T000000Z/abfs/-/" + needed.path))
    monkeypatch.setattr(locations, "_UNIQUE", frozenset())
    done = Quarantine().purge(IcebergCatalogHook().lazy_tables(), datetime.now(UTC) + timedelta(days=1))
    assert (done.files, len(done.left)) == (0, 1)
    assert f"has the path of {needed.uri}, which is part of a table" in done.left[0]


@pytest.mark.parametrize("warehouse", ["lake", "123456789012:s3tablescatalog/lake", None])
def test_a_warehouse_that_is_a_name_has_no_quarantine(iceberg, trips, monkeypatch, warehouse):
    if warehouse:
        monkeypatch.setitem(iceberg.properties, "warehouse", warehouse)
    else:
        monkeypatch.delitem(iceberg.properties, "warehouse")
    with pytest.raises(
        AirflowException,
        match=rf"{warehouse!r} of the connection iceberg_catalog is not the address.*Nothing was moved\. Next: write `warehouse`",
    ):
        found(trips)


def test_a_foreign_file_in_quarantine_is_named(taken):
    Path("/", taken.path).parent.joinpath("notes.txt").write_text("?")
    with pytest.raises(AirflowException, match=r"notes\.txt is in quarantine, but maintenance did not put it there"):
        Quarantine().kept()
