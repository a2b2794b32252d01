"""The same in an object store: pyarrow's paths begin with the bucket, and Java's addresses with s3a."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table
from pyiceberg.table.update import SetLocationUpdate
from streamed import NAME, SCHEMA, age, append

from lakehouse.maintenance.locations import Location
from lakehouse.maintenance.orphans import find, remove
from lakehouse.maintenance.quarantine import Quarantine

NOW = int(time.time() * 1000)


@pytest.fixture
def buckets(tmp_path, monkeypatch) -> Path:
    """A folder as object store: its subfolders are the buckets."""
    store = DirFileSystem(str(tmp_path / "s3"), LocalFileSystem(auto_mkdir=True))
    file_system = pafs.PyFileSystem(pafs.FSSpecHandler(store))
    monkeypatch.setattr(PyArrowFileIO, "_initialize_s3_fs", lambda self, bucket: file_system)
    (tmp_path / "s3/lake").mkdir(parents=True)
    return tmp_path / "s3"


@pytest.fixture
def table(iceberg, buckets, monkeypatch) -> Table:
    """A table that looks as if Java wrote its first half, and pyiceberg the second."""
    monkeypatch.setitem(iceberg.properties, "warehouse", "s3://lake/warehouse")
    iceberg.create_namespace("silver")
    table = iceberg.create_table(NAME, SCHEMA, location="s3a://lake/warehouse/silver/trips")
    append(table)
    iceberg.commit_table(table, (), (SetLocationUpdate(location="s3://lake/warehouse/silver/trips"),))
    append(table)
    return table.refresh()


def old(buckets: Path) -> None:
    for path in buckets.rglob("*"):
        age(path, 30 * 86_400)


def test_there_are_two_spellings(table, buckets):
    addresses = table.inspect.files()["file_path"].to_pylist()
    assert sorted(address.split(":")[0] for address in addresses) == ["s3", "s3a"]
    assert list((buckets / "lake/warehouse/silver/trips/data").iterdir())


def test_orphans_are_quarantined_and_restored(table, buckets):
    old(buckets)
    assert find(table, NOW, 100).files == ()
    orphan = buckets / "lake/warehouse/silver/trips/data/x#1.parquet"
    orphan.write_text("x")
    old(buckets)
    batch = remove(table, find(table, NOW, 100), lambda: None)
    assert batch.uri.startswith("s3://lake/warehouse/_quarantine/2")
    kept = buckets / batch.authority / batch.path / "s3/lake/warehouse/silver/trips/data/x#1.parquet"
    assert (kept.read_text(), orphan.exists()) == ("x", False)
    assert Quarantine().restore([Location.parse("s3a://lake/warehouse/silver/trips")]).files == 1
    assert orphan.read_text() == "x"
