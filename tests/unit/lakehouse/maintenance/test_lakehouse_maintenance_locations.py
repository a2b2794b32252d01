"""A file has one location, however its address is written."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow.fs as pafs
import pytest
from airflow.sdk.exceptions import AirflowException
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO

from lakehouse.maintenance.locations import Location, checked, delete, list_files, move


@pytest.mark.parametrize("text", ["file:/a/b", "file:///a/b", "/a/b", "FILE:///a//b/", "file:/a/./b"])
def test_spellings_of_a_local_file(text):
    assert Location.parse(text) == Location("file", "", "a/b")
    assert Location.parse(text).uri == "file:///a/b"


@pytest.mark.parametrize("text", ["s3://bucket/a/b", "s3a://bucket/a/b", "s3n://bucket/a/b"])
def test_spellings_of_an_object(text):
    assert Location.parse(text) == Location("s3", "bucket", "a/b")
    assert Location.parse(text).uri == "s3://bucket/a/b"


@pytest.mark.parametrize("text", ["hdfs:/a/b", "hdfs:///a/b"])
def test_spellings_without_a_host(text):
    assert Location.parse(text) == Location("hdfs", "", "a/b")


@pytest.mark.parametrize("name", ["a%20b", "a?b", "a#b", "a//b", "a:b"])
def test_special_characters_in_a_name_stay(name):
    assert Location.parse(f"s3://bucket/{name}") == Location("s3", "bucket", name)
    assert Location.parse(f"s3://bucket/{name}").uri == f"s3://bucket/{name}"


@pytest.mark.parametrize("text", ["", "a/b", "file", "s3:bucket"])
def test_an_invalid_address_is_rejected(text):
    with pytest.raises(AirflowException, match="is not the address of a file"):
        Location.parse(text)


def test_a_folder_holds_only_what_is_below_it():
    folder = Location.parse("s3://b/warehouse/silver")
    assert folder.holds(folder)
    assert folder.holds(folder / "x/y")
    assert (folder / "x/y").below(folder) == "x/y"
    for other in ("s3://b/warehouse/silver_old", "s3://b/warehouse", "s3://c/warehouse/silver/x"):
        assert not folder.holds(Location.parse(other))
    assert Location.parse("s3://b/").holds(folder)
    assert folder.below(Location.parse("s3://b/")) == "warehouse/silver"


def test_two_names_may_mean_one_store_except_buckets_and_the_local_disk():
    def may(one: str, other: str) -> bool:
        return Location.parse(f"{one}/a").may_hold(Location.parse(f"{other}/a/b"))

    assert may("abfs://c@account", "abfss://c@account")
    assert may("hdfs://namenode:8020", "hdfs:")
    assert may("S3://b", "s3a://b")
    assert not may("s3://b", "s3://c")
    assert not may("s3://b", "hdfs://b")
    assert not Location.parse("hdfs://x/a").may_hold(Location.parse("hdfs://y/ab"))


def test_a_store_moves_files_between_its_buckets_and_not_between_hosts():
    places = [Location.parse(text) for text in ("s3://b/a", "s3a://c/a", "hdfs://x/a", "hdfs://y/a")]
    assert [(places.index(one), places.index(other)) for one in places for other in places if one.moves_to(other)] == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (3, 3),
    ]  # fmt: skip


def test_a_checksum_and_its_file():
    file = Location("file", "", "a/x.parquet")
    assert checked(Location("file", "", "a/.x.parquet.crc")) == checked(file) == file


def test_files_are_listed_moved_and_deleted_by_their_exact_names(tmp_path):
    io, folder = PyArrowFileIO(), Location.parse(f"file:{tmp_path}")
    (tmp_path / "data").mkdir()
    for name in ("x", "x#1", "x?2", "x%203"):
        (tmp_path / "data" / name).write_text(name)
    assert {file.location.name for file in list_files(io, folder)} == {"x", "x#1", "x?2", "x%203"}
    move(io, folder / "data/x#1", folder / "a/b/x#1")
    assert (tmp_path / "a/b/x#1").read_text() == "x#1"
    assert (tmp_path / "data/x").read_text() == "x"
    with pytest.raises(FileExistsError):
        move(io, folder / "data/x", folder / "a/b/x#1")
    with pytest.raises(AirflowException, match="in another store: nothing was moved"):
        move(io, folder / "data/x", Location("s3", "b", "x"))
    assert (delete(io, folder / "data/x?2"), delete(io, folder / "data/x?2")) == (True, False)
    assert (tmp_path / "data/x").exists()
    assert list(list_files(io, folder / "nowhere")) == []


class HalfCopies(DirFileSystem):
    """A store that loses the second half of what it copies."""

    def copy(self, path: str, to: str, **_: object) -> None:
        whole = self.cat_file(path)
        self.pipe_file(to, whole[: len(whole) // 2])

    def mv(self, path: str, to: str, **_: object) -> None:
        self.copy(path, to)
        self.rm_file(path)


def test_an_incomplete_copy_is_deleted_and_the_file_stays(tmp_path):
    store = pafs.PyFileSystem(pafs.FSSpecHandler(HalfCopies(str(tmp_path), LocalFileSystem(auto_mkdir=True))))
    io = SimpleNamespace(fs_by_scheme=lambda scheme, authority: store)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x").write_text("whole")
    with pytest.raises(
        OSError, match=r"s3://b/x has 5 bytes, but its copy s3://b/q/x has 2.*Next: make sure that the store"
    ):
        move(io, Location.parse("s3://b/x"), Location.parse("s3://b/q/x"))
    assert (tmp_path / "b/x").read_text() == "whole"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x"]


def test_an_io_without_a_file_system_is_named():
    with pytest.raises(AirflowException, match=r"object gives no access to file:///a.*py-io-impl"):
        list(list_files(object(), Location("file", "", "a")))
