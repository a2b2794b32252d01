"""Expiry takes the oldest part of the history, and the files that only it led to; nothing that anybody needs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.statistics import PartitionStatisticsFile
from pyiceberg.table.update import SetPartitionStatisticsUpdate
from streamed import append, commit_as_flink, files_of, reload, rewrite

from lakehouse.maintenance import expire as expiry
from lakehouse.maintenance.expire import expire, look, plan
from lakehouse.maintenance.locations import Location, delete
from lakehouse.maintenance.orphans import find
from lakehouse.maintenance.procedures import Protected
from lakehouse.streaming.state import last_commit

FUTURE = int((time.time() + 3600) * 1000)


def ids(snapshots) -> list[int]:
    return [snapshot.snapshot_id for snapshot in snapshots]


def planned(table, *protected: Protected, older_than: int = FUTURE, retain_last: int = 1) -> list[int]:
    return ids(plan(table.refresh().metadata, older_than, retain_last, list(protected)))


def nothing() -> None:
    """The lease is held."""


@pytest.fixture
def history(trips) -> list[int]:
    """Six snapshots, the oldest first."""
    return [append(trips) for _ in range(6)]


def test_the_oldest_go_and_the_newest_stay(trips, history):
    assert planned(trips) == history[4::-1]
    assert planned(trips, retain_last=3) == history[2::-1]
    assert planned(trips, retain_last=10) == planned(trips, older_than=0) == []
    at = {snapshot.snapshot_id: snapshot.timestamp_ms for snapshot in trips.metadata.snapshots}
    assert planned(trips, older_than=at[history[2]]) == history[1::-1]
    assert planned(trips, retain_last=0) == history[4::-1]


def test_nothing_of_a_table_without_a_snapshot(trips):
    assert planned(trips) == []
    assert expire(trips, FUTURE, 1, [], nothing).snapshots == ()


def test_a_position_stays_with_all_above_it(trips, history):
    reader = Protected(history[2], "reader silver", alone=False)
    assert planned(trips, reader) == history[1::-1]
    assert planned(trips, reader, Protected(history[4], "reader b", alone=False)) == history[1::-1]


def test_a_tag_stays_alone(trips, history):
    assert planned(trips, Protected(history[2], "tag audit", alone=True)) == [*history[4:2:-1], *history[1::-1]]
    trips.manage_snapshots().create_tag(history[3], "since").create_branch(history[1], "aside").commit()
    assert planned(trips) == [history[4], history[2], history[0]]  # also when nobody spoke of it


@pytest.mark.parametrize("alone", [True, False])
def test_a_position_that_is_gone_is_refused(trips, history, alone):
    lost = Protected(1, "reader silver", alone)
    with pytest.raises(AirflowException, match=r"Snapshot 1, which reader silver needs, is gone: nothing was expired"):
        planned(trips, lost)


def test_what_is_needed_on_another_branch_stays_there(trips, history):
    trips.manage_snapshots().create_branch(history[1], "aside").commit()
    trips.refresh().append(trips.scan().to_arrow(), branch="aside")
    there = trips.refresh().snapshot_by_name("aside").snapshot_id
    assert planned(trips, Protected(there, "writer b", alone=False)) == history[4::-1]


def test_a_marker_that_nobody_protects_is_refused(trips):
    append(trips)
    marker = commit_as_flink(trips, 7)
    assert planned(trips) != []  # the marker is the newest
    for _ in range(3):
        append(trips)
    with pytest.raises(
        AirflowException, match=rf"Snapshot {marker} holds the last commit marker.*CALL protected_snapshots"
    ):
        planned(trips)
    assert planned(trips, Protected(marker, "writer sink", alone=False)) == [trips.metadata.snapshots[0].snapshot_id]


def test_files_that_only_they_led_to_go_and_no_other(trips):
    """After a rewrite, what it replaced belongs to the old snapshots alone."""
    for _ in range(3):
        append(trips, 10)
    rewrite(trips)
    current = rewrite(trips)
    rows = trips.scan().to_arrow()
    before = files_of(trips)
    expected = look(trips, FUTURE, 1, [])
    assert {file.exists() for file in before} == {True}
    done = expire(trips, FUTURE, 1, [], nothing)
    assert (done.snapshots, dict(done.files), done.undeleted) == (expected.snapshots, dict(expected.files), 0)
    gone = {Path("/", file.path) for file in done.files}
    assert before & files_of(trips) == before - gone
    assert (
        len([file for file in gone if file.suffix == ".parquet"]) == 4
    )  # three of the appends, one of the first rewrite
    assert (
        sum(done.files.values()) > sum(size for file, size in done.files.items() if file.name.endswith(".parquet")) > 0
    )
    assert ids(reload().snapshots()) == [current]
    assert reload().scan().to_arrow() == rows
    assert find(reload(), FUTURE, 100).files == ()  # nothing was left to orphan removal


def test_a_branch_and_a_tag_keep_their_rows(trips):
    first = append(trips, 4)
    trips.manage_snapshots().create_tag(first, "first").commit()
    append(trips, 3)
    rewrite(trips)
    append(trips)
    expire(trips, FUTURE, 1, [], nothing)
    assert reload().scan(snapshot_id=first).to_arrow().num_rows == 4
    assert reload().scan().to_arrow().num_rows == 8


def test_checksums_go_with_their_files(trips):
    append(trips)
    rewrite(trips)
    for file in files_of(trips):
        file.with_name(f".{file.name}.crc").write_text("sum")
    expire(trips, FUTURE, 1, [], nothing)
    left = files_of(trips)
    assert {file for file in left if file.suffix == ".crc" and not file.with_name(file.name[1:-4]).exists()} == set()


def test_statistics_of_an_expired_snapshot_go(trips, plant):
    first = append(trips)
    statistics = plant(trips, "metadata/partitions.parquet")
    words = {"snapshot-id": first, "statistics-path": str(statistics), "file-size-in-bytes": 1}
    update = SetPartitionStatisticsUpdate(partition_statistics=PartitionStatisticsFile(**words))
    trips.catalog.commit_table(trips, (), (update,))
    append(trips)
    expire(trips, FUTURE, 1, [], nothing)
    assert reload().metadata.partition_statistics == []
    assert not statistics.exists()


def test_writers_that_commit_first_are_no_hindrance(trips, history, monkeypatch):
    commit, tries = expiry._commit, []

    def too_late_at_first(table, going):
        tries.append(len(going))
        if len(tries) < 3:
            append(reload())
            raise CommitFailedException("Table has been updated by another process")
        commit(table, going)

    monkeypatch.setattr(expiry, "_commit", too_late_at_first)
    assert len(expire(trips, FUTURE, 1, [], nothing).snapshots) == 7
    assert tries == [5, 6, 7]
    assert reload().scan().to_arrow().num_rows == 8


def test_a_tag_that_was_made_meanwhile_is_kept(trips, history, monkeypatch):
    """pyiceberg would remove it along with its snapshot."""
    commit = expiry._commit

    def after_somebody_tagged(table, going):
        monkeypatch.setattr(expiry, "_commit", commit)
        reload().manage_snapshots().create_tag(history[2], "precious").commit()
        commit(table, going)

    monkeypatch.setattr(expiry, "_commit", after_somebody_tagged)
    done = expire(trips, FUTURE, 1, [], nothing)
    assert history[2] not in done.snapshots
    assert reload().scan(snapshot_id=history[2]).to_arrow().num_rows == 3


def test_who_lost_the_lease_expires_nothing(trips, history):
    def lost():
        raise AirflowException("lost")

    with pytest.raises(AirflowException, match="lost"):
        expire(trips, FUTURE, 1, [], lost)
    assert ids(reload().snapshots()) == history


def test_a_snapshot_that_cannot_be_read_lets_no_file_go(trips, history):
    current = trips.current_snapshot()
    Path("/", Location.parse(current.manifest_list).path).write_bytes(b"")
    before = files_of(trips)
    with pytest.raises(AirflowException, match=r"cannot be read .*nothing is removed"):
        expire(trips, FUTURE, 1, [], nothing)
    assert before <= files_of(trips)


def test_the_job_finds_its_last_commit_again(trips):
    for checkpoint in range(5):
        commit_as_flink(trips, checkpoint)
        rewrite(trips)
    marker = last_commit("t", trips)
    place = next(
        s.snapshot_id for s in reversed(trips.metadata.snapshots) if "flink.job-id" in s.summary.additional_properties
    )
    expire(trips, FUTURE, 1, [Protected(place, "writer sink", alone=False)], nothing)
    assert last_commit("t", reload()) == marker
    assert len(reload().snapshots()) == 2  # the marker, and the rewrite above it


def test_what_cannot_be_deleted_is_counted_and_left_to_orphan_removal(trips, history, monkeypatch):
    first = Location.parse(trips.metadata.snapshots[0].manifest_list)

    def refuse(io, file):
        if file == first:
            raise OSError("AWS Error ACCESS_DENIED")
        return delete(io, file)

    monkeypatch.setattr(expiry, "delete", refuse)
    done = expire(trips, FUTURE, 1, [], nothing)
    assert (len(done.snapshots), len(done.files), done.undeleted) == (5, 5, 1)
    assert [orphan.location for orphan in find(reload(), FUTURE, 100).files] == [first]
