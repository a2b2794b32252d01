"""What is missing, and what is there once too often, whoever wrote the tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowException
from pyarrow.parquet import write_table
from pyiceberg.avro.file import AvroFile
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.airflow.hooks.topic_reader import TopicReader
from lakehouse.pipelines.model import Stage
from lakehouse.quality.ledger import stage_ledger
from lakehouse.reconciliation import changes, no_event
from lakehouse.reconciliation.reconcile import Reconciliation, acknowledge_loss, reconcile
from lakehouse.reconciliation.state import load

ACCEPTED, REJECTED = "bronze.raw_trips", "bronze.rejected_events"
CLEANED, OTHERS = "silver.cleaned_trips", ("silver.rejected_trips", "silver.duplicate_trips")


@pytest.fixture
def bronze(taxi) -> Stage:
    return taxi.stages["bronze"]


@pytest.fixture
def silver(taxi) -> Stage:
    return taxi.stages["silver"]


@pytest.fixture
def look(taxi) -> Callable[[Stage], Reconciliation]:
    return lambda stage: reconcile(taxi, stage)


@pytest.fixture
def streaming(taxi, fill, send) -> None:
    """A hundred events of partition 1, ninety-five of them in Bronze, and all of these in Silver."""
    send(taxi.topic.name, 100, partition=1)
    fill(ACCEPTED, range(95), partition=1)
    fill(REJECTED, range(95, 100), partition=1)
    fill(CLEANED, range(95), partition=1)
    for table in OTHERS:
        fill(table, 0)


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The tables that were read from their first row on."""
    tables: list[str] = []
    all_rows = changes.all_rows

    def noticed(table):
        tables.append(".".join(table.name()))
        return all_rows(table)

    monkeypatch.setattr("lakehouse.reconciliation.reconcile.all_rows", noticed)
    return tables


def test_nothing_is_missing(streaming, look, bronze, silver):
    for stage, rows in ((bronze, 100), (silver, 95)):
        found = look(stage)
        assert (len(found.missing), len(found.surplus)) == (0, 0)
        assert found.source_rows == ({1: rows} if stage is silver else {**dict.fromkeys(found.source_rows, 0), 1: rows})
    assert look(bronze).rows(ACCEPTED) == {1: 95}
    assert look(bronze).rows(REJECTED) == {1: 5}


def test_a_look_reads_what_is_new_alone(streaming, look, bronze, fill, send, taxi, read):
    look(bronze)
    assert sorted(read) == [ACCEPTED, REJECTED]
    send(taxi.topic.name, 10, partition=1)
    fill(ACCEPTED, range(100, 104), partition=1)
    fill(ACCEPTED, range(104, 108), partition=1)
    found = look(bronze)
    assert len(read) == 2
    assert str(found.missing) == "partition 1: offsets 108 to 109"
    assert found.rows(ACCEPTED) == {1: 103}


def test_the_list_of_the_newest_commit_names_the_files_of_those_before(streaming, look, bronze, fill, monkeypatch):
    look(bronze)
    for offset in range(100, 105):
        fill(ACCEPTED, [offset], partition=1)
    read: list[int] = []
    manifests = Snapshot.manifests
    monkeypatch.setattr(Snapshot, "manifests", lambda found, io: read.append(found.snapshot_id) or manifests(found, io))
    assert str(look(bronze).surplus) == "partition 1: offsets 100 to 104"
    assert len(read) == 1


def test_of_manifests_that_a_commit_merged_the_older_files_are_not_read(
    streaming, look, bronze, fill, iceberg, monkeypatch
):
    _merge_by(2, iceberg)
    for offset in range(100, 120):
        fill(ACCEPTED, [offset], partition=1)
    assert str(look(bronze).surplus) == "partition 1: offsets 100 to 119"
    fill(ACCEPTED, [120], partition=1)
    table = iceberg.load_table(ACCEPTED)
    [manifest] = table.current_snapshot().manifests(table.io)
    assert (manifest.added_files_count, manifest.existing_files_count) == (1, 21)
    read: set[str] = set()
    following = AvroFile.__next__

    def noticed(file):
        found = following(file)
        read.update([found.data_file.file_path] if isinstance(found, ManifestEntry) else [])
        return found

    monkeypatch.setattr(AvroFile, "__next__", noticed)
    assert str(look(bronze).surplus) == "partition 1: offsets 100 to 120"
    assert len(read) == 1


def test_an_entry_may_leave_out_its_commit(streaming, look, bronze, fill, monkeypatch):
    """As Iceberg itself writes it: the manifest says which one it is."""
    look(bronze)
    fill(ACCEPTED, [100], partition=1)
    following = AvroFile.__next__

    def without_commit(file):
        found = following(file)
        if isinstance(found, ManifestEntry):
            found.snapshot_id = None
        return found

    monkeypatch.setattr(AvroFile, "__next__", without_commit)
    assert str(look(bronze).surplus) == "partition 1: offsets 100"


def _merge_by(manifests: int, iceberg: SqlCatalog) -> None:
    """Let the next commits merge the table's manifests when there are so many."""
    merge = {"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": str(manifests)}
    with iceberg.load_table(ACCEPTED).transaction() as change:
        change.set_properties(merge)


def test_commits_whose_manifests_were_merged_since(streaming, look, bronze, fill, iceberg, send, taxi, read):
    _merge_by(3, iceberg)
    look(bronze)
    read.clear()
    send(taxi.topic.name, 10, partition=1)
    for offset in range(100, 108):
        fill(ACCEPTED, [offset], partition=1)
    table = iceberg.load_table(ACCEPTED)
    assert len(table.current_snapshot().manifests(table.io)) < 8
    assert str(look(bronze).missing) == "partition 1: offsets 108 to 109"
    assert (look(bronze).rows(ACCEPTED), read) == ({1: 103}, [])


def test_files_are_read_by_the_ids_of_their_columns(streaming, look, bronze, fill, iceberg, send, taxi, read):
    """A file that was written before a column got its name, and one that lacks the ids."""
    look(bronze)
    read.clear()
    send(taxi.topic.name, 10, partition=1)
    table = iceberg.load_table(ACCEPTED)
    _rename(table, kafka_offset="offset_", trip_id="kafka_offset_")
    rows = {"kafka_offset_": ["x"], "kafka_partition": pa.array([1], pa.int32()), "offset_": [100]}
    table.append(pa.table(rows))
    _rename(table, offset_="kafka_offset", kafka_offset_="trip_id")
    foreign = Path(table.location().removeprefix("file://")) / "foreign.parquet"
    write_table(pa.table({"kafka_offset": [101], "kafka_partition": pa.array([1], pa.int32())}), foreign)
    table.add_files([f"file://{foreign}"])
    fill(ACCEPTED, range(102, 108), partition=1)
    found = look(bronze)
    assert (str(found.missing), len(found.surplus)) == ("partition 1: offsets 108 to 109", 0)
    assert read == []


def _rename(table: Table, **names: str) -> None:
    with table.update_schema() as change:
        for old, new in names.items():
            change.rename_column(old, new)


def test_deleted_rows_are_missing_while_others_arrive(streaming, look, bronze, silver, iceberg, fill, send, taxi, read):
    """Newer rows never cover for them; and Silver holds rows that its source no longer has."""
    look(bronze), look(silver)
    read.clear()
    iceberg.load_table(ACCEPTED).delete("kafka_offset >= 40 and kafka_offset < 60")
    send(taxi.topic.name, 1_000, partition=1)
    fill(ACCEPTED, range(100, 1_100), partition=1)
    found = look(bronze)
    assert str(found.missing) == str(found.overtaken(found.missing)) == "partition 1: offsets 40 to 59"
    assert str(look(silver).surplus) == "partition 1: offsets 40 to 59"
    assert str(look(silver).missing) == "partition 1: offsets 100 to 1,099"
    assert read == []


def test_rows_that_somebody_deleted_from_silver(streaming, look, silver, iceberg, fill):
    look(silver)
    iceberg.load_table(CLEANED).delete("kafka_offset < 10")
    assert str(look(silver).missing) == "partition 1: offsets 0 to 9"
    fill(OTHERS[0], range(10), partition=1)  # they come after all
    assert len(look(silver).missing) == 0


@pytest.mark.parametrize("from_scratch", [True, False])
def test_duplicates_are_surplus(streaming, look, bronze, fill, from_scratch):
    if not from_scratch:
        look(bronze)
    fill(ACCEPTED, [3, 4], partition=1)
    fill(REJECTED, [4], partition=1)
    fill(REJECTED, [100], partition=1)  # no such event
    found = look(bronze)
    assert str(found.surplus) == "partition 1: offsets 3 to 4, 100"
    assert len(found.missing) == 0


def test_one_row_twice_in_a_file(streaming, look, bronze, fill):
    look(bronze)
    fill(ACCEPTED, [100, 100], partition=1)
    assert str(look(bronze).surplus) == "partition 1: offsets 100"


def test_a_rewrite_changes_nothing(streaming, look, bronze, fill, iceberg, monkeypatch):
    look(bronze)
    table = iceberg.load_table(ACCEPTED)
    table.overwrite(table.scan().to_arrow())  # not as a replace: the rows are read, out and in again
    found = look(bronze)
    assert (len(found.missing), len(found.surplus), found.rows(ACCEPTED)) == (0, 0, {1: 95})


def test_a_table_that_was_replaced_is_read_from_its_first_row(streaming, look, bronze, iceberg, fill, read):
    look(bronze)
    iceberg.drop_table(ACCEPTED)
    fill(ACCEPTED, range(50), partition=1)
    assert str(look(bronze).missing) == "partition 1: offsets 50 to 94"
    assert len(read) == 4


def test_a_table_that_was_rolled_back_is_read_from_its_first_row(streaming, look, bronze, iceberg, fill, send, taxi):
    old = iceberg.load_table(ACCEPTED).current_snapshot().snapshot_id
    send(taxi.topic.name, 10, partition=1)
    fill(ACCEPTED, range(100, 110), partition=1)
    assert len(look(bronze).missing) == 0
    with iceberg.load_table(ACCEPTED).manage_snapshots() as manage:
        manage.rollback_to_snapshot(old)
    assert str(look(bronze).missing) == "partition 1: offsets 100 to 109"


def test_snapshots_that_expired_in_between_do_not_matter(streaming, look, bronze, fill, iceberg, send, taxi):
    look(bronze)
    send(taxi.topic.name, 10, partition=1)
    for offset in range(100, 110):
        fill(ACCEPTED, [offset], partition=1)
    iceberg.load_table(ACCEPTED).maintenance.expire_snapshots().older_than(_soon()).commit()
    found = look(bronze)
    assert (len(found.missing), len(found.surplus), found.rows(ACCEPTED)) == (0, 0, {1: 105})


def _soon():
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) + timedelta(days=1)


def test_a_row_that_moves_on_meanwhile_looks_missing_never_surplus(
    streaming, look, bronze, fill, send, taxi, monkeypatch
):
    end_offsets = TopicHook.end_offsets

    def pass_through(hook):
        send(taxi.topic.name, 1, partition=1)
        fill(ACCEPTED, [100], partition=1)
        return end_offsets(hook)

    monkeypatch.setattr(TopicHook, "end_offsets", pass_through)
    found = look(bronze)
    assert (str(found.missing), len(found.surplus)) == ("partition 1: offsets 100", 0)


class TestOverdue:
    def test_by_the_time_that_kafka_gave_the_event(self, streaming, look, bronze, send, taxi, monkeypatch):
        send(taxi.topic.name, 5, partition=1)
        found = look(bronze)
        assert len(found.missing) == 5
        asked: list[int] = []
        monkeypatch.setattr(TopicHook, "offsets_at", lambda hook, epoch_ms: asked.append(epoch_ms) or {1: 103})
        assert str(found.overdue(60)) == "partition 1: offsets 100 to 102"
        assert asked[0] == pytest.approx((time.time() - 60) * 1000, abs=30_000)

    def test_by_the_commit_to_the_source_table(self, streaming, look, silver, fill):
        look(silver)
        fill(ACCEPTED, range(100, 105), partition=1)
        found = look(silver)
        assert len(found.missing) == 5
        assert len(found.overdue(3_600)) == 0
        assert str(found.overdue(-60)) == "partition 1: offsets 100 to 104"

    def test_what_was_deleted_is_as_old_as_it_was(self, streaming, look, silver, iceberg, monkeypatch):
        now = time.time
        with monkeypatch.context() as two_hours_ago:
            two_hours_ago.setattr(time, "time", lambda: now() - 7_200)
            look(silver)
        iceberg.load_table(CLEANED).delete("kafka_offset < 10")
        assert len(look(silver).overdue(600)) == 10


class TestOffsetsWithoutAnEvent:
    @pytest.fixture
    def kafka(self, monkeypatch) -> dict[int, list[int]]:
        """Partition -> offsets at which Kafka holds an event; all are old."""
        events: dict[int, list[int]] = {}
        monkeypatch.setattr(no_event, "ASKED_AFTER_S", -60)

        def batches(reader, partition, first, end):
            yield [(offset, b"{}") for offset in events.get(partition, []) if first <= offset < end]

        monkeypatch.setattr(TopicReader, "batches", batches)
        return events

    def test_they_are_not_missing(self, streaming, look, bronze, send, taxi, kafka, fill):
        send(taxi.topic.name, 10, partition=1)
        fill(ACCEPTED, range(101, 105), partition=1)
        kafka[1] = [105, 107]
        found = look(bronze)
        assert str(found.missing) == "partition 1: offsets 105, 107"
        assert found.source_rows[1] == 110 - 4
        kafka[1] = []  # what Kafka has said stays true
        fill(ACCEPTED, [105, 107], partition=1)
        assert (len(look(bronze).missing), len(look(bronze).surplus)) == (0, 0)

    def test_many_that_wait_at_the_end_are_not_asked_about(
        self, streaming, look, bronze, send, taxi, kafka, monkeypatch
    ):
        monkeypatch.setattr(no_event, "LAST_OFFSETS", 9)
        send(taxi.topic.name, 10, partition=1)
        assert len(look(bronze).missing) == 10
        monkeypatch.setattr(no_event, "LAST_OFFSETS", 10)
        assert len(look(bronze).missing) == 0

    def test_a_look_asks_about_so_many_at_most(self, streaming, look, bronze, send, taxi, kafka, monkeypatch):
        monkeypatch.setattr(no_event, "ASKED_AT_ONCE", 4)
        send(taxi.topic.name, 10, partition=1)
        assert [len(look(bronze).missing) for _ in range(3)] == [6, 2, 0]


class TestTheTopic:
    def test_one_that_began_above_0_counts_from_there(self, taxi, send, fill, look, bronze, monkeypatch):
        send(taxi.topic.name, 30, partition=1)
        monkeypatch.setattr(
            TopicHook, "start_offsets", lambda hook: {p: 20 if p == 1 else 0 for p in hook.end_offsets()}
        )
        fill(ACCEPTED, range(20, 28), partition=1)
        fill(REJECTED, 0)
        found = look(bronze)
        assert str(found.missing) == "partition 1: offsets 28 to 29"
        assert found.source_rows[1] == 10

    def test_events_that_kafka_deleted_since_count(self, streaming, taxi, look, bronze, monkeypatch, send):
        look(bronze)
        send(taxi.topic.name, 30, partition=1)
        monkeypatch.setattr(
            TopicHook, "start_offsets", lambda hook: {p: 120 if p == 1 else 0 for p in hook.end_offsets()}
        )
        found = look(bronze)
        assert str(found.deleted_unread) == "partition 1: offsets 100 to 119"
        assert len(found.missing) == 30

    def test_they_count_also_where_nothing_but_the_tables_is_left(
        self, streaming, look, bronze, send, taxi, monkeypatch
    ):
        """The folder with what was known is lost. Of a partition without rows nothing says that there were events."""
        send(taxi.topic.name, 30, partition=1)
        send(taxi.topic.name, 30, partition=2)
        monkeypatch.setattr(
            TopicHook, "start_offsets", lambda hook: {p: {1: 120, 2: 20}.get(p, 0) for p in hook.end_offsets()}
        )
        assert str(look(bronze).passed_over) == "partition 1: offsets 100 to 119"

    def test_what_was_deleted_unread_is_lost_once_somebody_says_so(
        self, streaming, taxi, look, bronze, monkeypatch, send, fill
    ):
        look(bronze)
        send(taxi.topic.name, 30, partition=1)
        monkeypatch.setattr(
            TopicHook, "start_offsets", lambda hook: {p: 120 if p == 1 else 0 for p in hook.end_offsets()}
        )
        assert str(acknowledge_loss(taxi, bronze)) == "partition 1: offsets 100 to 119"
        assert len(acknowledge_loss(taxi, bronze)) == 0
        fill(ACCEPTED, range(120, 130), partition=1)
        ledger = stage_ledger(look(bronze))
        assert (ledger.balanced, ledger.lost, ledger.source_rows) == (True, 20, 130)
        fill(ACCEPTED, [110], partition=1)  # a backup of the topic had it
        assert (stage_ledger(look(bronze)).lost, len(look(bronze).surplus)) == (19, 0)

    def test_one_that_was_made_again_is_refused(self, streaming, look, bronze, send, taxi, topic_ids):
        """However many events it has by now."""
        look(bronze)
        topic_ids[taxi.topic.name] = "another"
        send(taxi.topic.name, 50, partition=1)
        with pytest.raises(AirflowException, match=r"taxi\.raw_trips was deleted and made again: .* Next: restore it"):
            look(bronze)

    def test_one_that_ends_before_what_was_known_of_it(self, streaming, look, bronze, monkeypatch, send, taxi):
        """Restored from a backup, it has lost nothing that a table holds; else those rows are surplus."""
        ends = TopicHook(taxi.topic.name).end_offsets()
        send(taxi.topic.name, 10, partition=1)
        assert len(look(bronze).missing) == 10
        monkeypatch.setattr(TopicHook, "end_offsets", lambda hook: {**ends, 1: 102})
        found = look(bronze)
        assert (str(found.missing), len(found.surplus)) == ("partition 1: offsets 100 to 101", 0)
        monkeypatch.setattr(TopicHook, "end_offsets", lambda hook: {**ends, 1: 98})
        found = look(bronze)
        assert (len(found.missing), str(found.surplus)) == (0, "partition 1: offsets 98 to 99")

    def test_a_partition_that_was_added(self, streaming, look, bronze, fill, monkeypatch):
        look(bronze)
        end_offsets = TopicHook.end_offsets
        monkeypatch.setattr(TopicHook, "end_offsets", lambda hook: {**end_offsets(hook), 9: 3})
        start_offsets = TopicHook.start_offsets
        monkeypatch.setattr(TopicHook, "start_offsets", lambda hook: {**start_offsets(hook), 9: 0})
        assert str(look(bronze).missing) == "partition 9: offsets 0 to 2"
        fill(ACCEPTED, range(3), partition=9)
        assert len(look(bronze).missing) == 0


def test_a_damaged_state_is_named(streaming, look, bronze, tmp_path):
    look(bronze)
    [file] = (tmp_path / "flink" / "reconciliation").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("nyc_taxi.bronze.json", 0o600)
    file.write_text("{")
    with pytest.raises(AirflowException, match=r"nyc_taxi\.bronze.*is damaged\. Next: delete the file"):
        look(bronze)


def test_what_is_known_stays_small(streaming, look, bronze):
    look(bronze)
    assert len(load(bronze).model_dump_json()) < 2_000
