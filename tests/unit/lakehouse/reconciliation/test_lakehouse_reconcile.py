"""Missing and surplus rows, whoever wrote the tables."""

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
from lakehouse.reconciliation import changes, empty_offsets
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
def reconciled(taxi) -> Callable[[Stage], Reconciliation]:
    return lambda stage: reconcile(taxi, stage)


@pytest.fixture
def streaming(taxi, fill, send) -> None:
    """100 events in partition 1: 95 of them are in Bronze, and all of these in Silver."""
    send(taxi.topic.name, 100, partition=1)
    fill(ACCEPTED, range(95), partition=1)
    fill(REJECTED, range(95, 100), partition=1)
    fill(CLEANED, range(95), partition=1)
    for table in OTHERS:
        fill(table, 0)


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The tables that were read from the first row."""
    tables: list[str] = []
    all_rows = changes.all_rows

    def noticed(table):
        tables.append(".".join(table.name()))
        return all_rows(table)

    monkeypatch.setattr("lakehouse.reconciliation.reconcile.all_rows", noticed)
    return tables


def test_nothing_is_missing(streaming, reconciled, bronze, silver):
    for stage, rows in ((bronze, 100), (silver, 95)):
        found = reconciled(stage)
        assert (len(found.missing), len(found.surplus)) == (0, 0)
        assert found.source_rows == ({1: rows} if stage is silver else {**dict.fromkeys(found.source_rows, 0), 1: rows})
    assert reconciled(bronze).rows(ACCEPTED) == {1: 95}
    assert reconciled(bronze).rows(REJECTED) == {1: 5}


def test_a_reconciliation_only_reads_new_rows(streaming, reconciled, bronze, fill, send, taxi, read):
    reconciled(bronze)
    assert sorted(read) == [ACCEPTED, REJECTED]
    send(taxi.topic.name, 10, partition=1)
    fill(ACCEPTED, range(100, 104), partition=1)
    fill(ACCEPTED, range(104, 108), partition=1)
    found = reconciled(bronze)
    assert len(read) == 2
    assert str(found.missing) == "partition 1: offsets 108 to 109"
    assert found.rows(ACCEPTED) == {1: 103}


def test_the_newest_manifest_list_has_the_files_of_earlier_commits(streaming, reconciled, bronze, fill, monkeypatch):
    reconciled(bronze)
    for offset in range(100, 105):
        fill(ACCEPTED, [offset], partition=1)
    read: list[int] = []
    manifests = Snapshot.manifests
    monkeypatch.setattr(Snapshot, "manifests", lambda found, io: read.append(found.snapshot_id) or manifests(found, io))
    assert str(reconciled(bronze).surplus) == "partition 1: offsets 100 to 104"
    assert len(read) == 1


def test_older_files_in_merged_manifests_are_not_read(streaming, reconciled, bronze, fill, iceberg, monkeypatch):
    _merge_by(2, iceberg)
    for offset in range(100, 120):
        fill(ACCEPTED, [offset], partition=1)
    assert str(reconciled(bronze).surplus) == "partition 1: offsets 100 to 119"
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
    assert str(reconciled(bronze).surplus) == "partition 1: offsets 100 to 120"
    assert len(read) == 1


def test_a_manifest_entry_may_inherit_its_snapshot(streaming, reconciled, bronze, fill, monkeypatch):
    """As Iceberg itself writes it: the manifest has the snapshot id."""
    reconciled(bronze)
    fill(ACCEPTED, [100], partition=1)
    following = AvroFile.__next__

    def without_commit(file):
        found = following(file)
        if isinstance(found, ManifestEntry):
            found.snapshot_id = None
        return found

    monkeypatch.setattr(AvroFile, "__next__", without_commit)
    assert str(reconciled(bronze).surplus) == "partition 1: offsets 100"


def _merge_by(manifests: int, iceberg: SqlCatalog) -> None:
    """Let the next commits merge the table's manifests once there are this many."""
    merge = {"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": str(manifests)}
    with iceberg.load_table(ACCEPTED).transaction() as change:
        change.set_properties(merge)


def test_commits_whose_manifests_were_merged_later(streaming, reconciled, bronze, fill, iceberg, send, taxi, read):
    _merge_by(3, iceberg)
    reconciled(bronze)
    read.clear()
    send(taxi.topic.name, 10, partition=1)
    for offset in range(100, 108):
        fill(ACCEPTED, [offset], partition=1)
    table = iceberg.load_table(ACCEPTED)
    assert len(table.current_snapshot().manifests(table.io)) < 8
    assert str(reconciled(bronze).missing) == "partition 1: offsets 108 to 109"
    assert (reconciled(bronze).rows(ACCEPTED), read) == ({1: 103}, [])


def test_files_are_read_by_the_ids_of_their_columns(streaming, reconciled, bronze, fill, iceberg, send, taxi, read):
    """A file that was written before a column was renamed, and one without ids."""
    reconciled(bronze)
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
    found = reconciled(bronze)
    assert (str(found.missing), len(found.surplus)) == ("partition 1: offsets 108 to 109", 0)
    assert read == []


def _rename(table: Table, **names: str) -> None:
    with table.update_schema() as change:
        for old, new in names.items():
            change.rename_column(old, new)


def test_deleted_rows_are_missing_while_others_arrive(
    streaming, reconciled, bronze, silver, iceberg, fill, send, taxi, read
):
    """Newer rows do not compensate for them; and Silver has rows that its source no longer has."""
    reconciled(bronze), reconciled(silver)
    read.clear()
    iceberg.load_table(ACCEPTED).delete("kafka_offset >= 40 and kafka_offset < 60")
    send(taxi.topic.name, 1_000, partition=1)
    fill(ACCEPTED, range(100, 1_100), partition=1)
    found = reconciled(bronze)
    assert str(found.missing) == str(found.overtaken(found.missing)) == "partition 1: offsets 40 to 59"
    assert str(reconciled(silver).surplus) == "partition 1: offsets 40 to 59"
    assert str(reconciled(silver).missing) == "partition 1: offsets 100 to 1,099"
    assert read == []


def test_rows_deleted_from_silver(streaming, reconciled, silver, iceberg, fill):
    reconciled(silver)
    iceberg.load_table(CLEANED).delete("kafka_offset < 10")
    assert str(reconciled(silver).missing) == "partition 1: offsets 0 to 9"
    fill(OTHERS[0], range(10), partition=1)  # they arrive later
    assert len(reconciled(silver).missing) == 0


@pytest.mark.parametrize("from_scratch", [True, False])
def test_duplicates_are_surplus(streaming, reconciled, bronze, fill, from_scratch):
    if not from_scratch:
        reconciled(bronze)
    fill(ACCEPTED, [3, 4], partition=1)
    fill(REJECTED, [4], partition=1)
    fill(REJECTED, [100], partition=1)  # no such event
    found = reconciled(bronze)
    assert str(found.surplus) == "partition 1: offsets 3 to 4, 100"
    assert len(found.missing) == 0


def test_one_row_twice_in_a_file(streaming, reconciled, bronze, fill):
    reconciled(bronze)
    fill(ACCEPTED, [100, 100], partition=1)
    assert str(reconciled(bronze).surplus) == "partition 1: offsets 100"


def test_a_rewrite_changes_nothing(streaming, reconciled, bronze, fill, iceberg, monkeypatch):
    reconciled(bronze)
    table = iceberg.load_table(ACCEPTED)
    table.overwrite(table.scan().to_arrow())  # not a replace operation: the rows are deleted and added again
    found = reconciled(bronze)
    assert (len(found.missing), len(found.surplus), found.rows(ACCEPTED)) == (0, 0, {1: 95})


def test_a_replaced_table_is_read_from_its_first_row(streaming, reconciled, bronze, iceberg, fill, read):
    reconciled(bronze)
    iceberg.drop_table(ACCEPTED)
    fill(ACCEPTED, range(50), partition=1)
    assert str(reconciled(bronze).missing) == "partition 1: offsets 50 to 94"
    assert len(read) == 4


def test_a_rolled_back_table_is_read_from_its_first_row(streaming, reconciled, bronze, iceberg, fill, send, taxi):
    old = iceberg.load_table(ACCEPTED).current_snapshot().snapshot_id
    send(taxi.topic.name, 10, partition=1)
    fill(ACCEPTED, range(100, 110), partition=1)
    assert len(reconciled(bronze).missing) == 0
    with iceberg.load_table(ACCEPTED).manage_snapshots() as manage:
        manage.rollback_to_snapshot(old)
    assert str(reconciled(bronze).missing) == "partition 1: offsets 100 to 109"


def test_expired_snapshots_do_not_matter(streaming, reconciled, bronze, fill, iceberg, send, taxi):
    reconciled(bronze)
    send(taxi.topic.name, 10, partition=1)
    for offset in range(100, 110):
        fill(ACCEPTED, [offset], partition=1)
    iceberg.load_table(ACCEPTED).maintenance.expire_snapshots().older_than(_soon()).commit()
    found = reconciled(bronze)
    assert (len(found.missing), len(found.surplus), found.rows(ACCEPTED)) == (0, 0, {1: 105})


def _soon():
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) + timedelta(days=1)


def test_concurrent_rows_may_look_missing_but_never_surplus(
    streaming, reconciled, bronze, fill, send, taxi, monkeypatch
):
    end_offsets = TopicHook.end_offsets

    def pass_through(hook):
        send(taxi.topic.name, 1, partition=1)
        fill(ACCEPTED, [100], partition=1)
        return end_offsets(hook)

    monkeypatch.setattr(TopicHook, "end_offsets", pass_through)
    found = reconciled(bronze)
    assert (str(found.missing), len(found.surplus)) == ("partition 1: offsets 100", 0)


class TestOverdue:
    def test_by_kafkas_timestamp(self, streaming, reconciled, bronze, send, taxi, monkeypatch):
        send(taxi.topic.name, 5, partition=1)
        found = reconciled(bronze)
        assert len(found.missing) == 5
        asked: list[int] = []
        monkeypatch.setattr(TopicHook, "offsets_at", lambda hook, epoch_ms: asked.append(epoch_ms) or {1: 103})
        assert str(found.overdue(60)) == "partition 1: offsets 100 to 102"
        assert asked[0] == pytest.approx((time.time() - 60) * 1000, abs=30_000)

    def test_by_the_commit_to_the_source_table(self, streaming, reconciled, silver, fill):
        reconciled(silver)
        fill(ACCEPTED, range(100, 105), partition=1)
        found = reconciled(silver)
        assert len(found.missing) == 5
        assert len(found.overdue(3_600)) == 0
        assert str(found.overdue(-60)) == "partition 1: offsets 100 to 104"

    def test_deleted_rows_keep_their_age(self, streaming, reconciled, silver, iceberg, monkeypatch):
        now = time.time
        with monkeypatch.context() as two_hours_ago:
            two_hours_ago.setattr(time, "time", lambda: now() - 7_200)
            reconciled(silver)
        iceberg.load_table(CLEANED).delete("kafka_offset < 10")
        assert len(reconciled(silver).overdue(600)) == 10


class TestEmptyOffsets:
    @pytest.fixture
    def kafka(self, monkeypatch) -> dict[int, list[int]]:
        """Partition -> offsets with an event in Kafka; all are old."""
        events: dict[int, list[int]] = {}
        monkeypatch.setattr(empty_offsets, "CHECKED_AFTER_S", -60)

        def batches(reader, partition, first, end):
            yield [(offset, b"{}") for offset in events.get(partition, []) if first <= offset < end]

        monkeypatch.setattr(TopicReader, "batches", batches)
        return events

    def test_they_are_not_missing(self, streaming, reconciled, bronze, send, taxi, kafka, fill):
        send(taxi.topic.name, 10, partition=1)
        fill(ACCEPTED, range(101, 105), partition=1)
        kafka[1] = [105, 107]
        found = reconciled(bronze)
        assert str(found.missing) == "partition 1: offsets 105, 107"
        assert found.source_rows[1] == 110 - 4
        kafka[1] = []  # what was checked once is remembered
        fill(ACCEPTED, [105, 107], partition=1)
        assert (len(reconciled(bronze).missing), len(reconciled(bronze).surplus)) == (0, 0)

    def test_a_long_range_at_the_end_is_not_checked(
        self, streaming, reconciled, bronze, send, taxi, kafka, monkeypatch
    ):
        monkeypatch.setattr(empty_offsets, "MAX_AT_THE_END", 9)
        send(taxi.topic.name, 10, partition=1)
        assert len(reconciled(bronze).missing) == 10
        monkeypatch.setattr(empty_offsets, "MAX_AT_THE_END", 10)
        assert len(reconciled(bronze).missing) == 0

    def test_a_reconciliation_checks_a_limited_number(
        self, streaming, reconciled, bronze, send, taxi, kafka, monkeypatch
    ):
        monkeypatch.setattr(empty_offsets, "MAX_CHECKED", 4)
        send(taxi.topic.name, 10, partition=1)
        assert [len(reconciled(bronze).missing) for _ in range(3)] == [6, 2, 0]


class TestTheTopic:
    def test_a_topic_that_begins_above_0(self, taxi, send, fill, reconciled, bronze, monkeypatch):
        send(taxi.topic.name, 30, partition=1)
        monkeypatch.setattr(
            TopicHook, "start_offsets", lambda hook: {p: 20 if p == 1 else 0 for p in hook.end_offsets()}
        )
        fill(ACCEPTED, range(20, 28), partition=1)
        fill(REJECTED, 0)
        found = reconciled(bronze)
        assert str(found.missing) == "partition 1: offsets 28 to 29"
        assert found.source_rows[1] == 10

    def test_events_deleted_from_kafka_still_count(self, streaming, taxi, reconciled, bronze, monkeypatch, send):
        reconciled(bronze)
        send(taxi.topic.name, 30, partition=1)
        monkeypatch.setattr(
            TopicHook, "start_offsets", lambda hook: {p: 120 if p == 1 else 0 for p in hook.end_offsets()}
        )
        found = reconciled(bronze)
        assert str(found.deleted_unread) == "partition 1: offsets 100 to 119"
        assert len(found.missing) == 30

    def test_deleted_events_count_even_if_only_the_tables_are_left(
        self, streaming, reconciled, bronze, send, taxi, monkeypatch
    ):
        """The stored state is lost. For a partition without rows, nothing shows that there were events."""
        send(taxi.topic.name, 30, partition=1)
        send(taxi.topic.name, 30, partition=2)
        monkeypatch.setattr(
            TopicHook, "start_offsets", lambda hook: {p: {1: 120, 2: 20}.get(p, 0) for p in hook.end_offsets()}
        )
        assert str(reconciled(bronze).skipped) == "partition 1: offsets 100 to 119"

    def test_events_deleted_unread_are_lost_once_acknowledged(
        self, streaming, taxi, reconciled, bronze, monkeypatch, send, fill
    ):
        reconciled(bronze)
        send(taxi.topic.name, 30, partition=1)
        monkeypatch.setattr(
            TopicHook, "start_offsets", lambda hook: {p: 120 if p == 1 else 0 for p in hook.end_offsets()}
        )
        assert str(acknowledge_loss(taxi, bronze)) == "partition 1: offsets 100 to 119"
        assert len(acknowledge_loss(taxi, bronze)) == 0
        fill(ACCEPTED, range(120, 130), partition=1)
        ledger = stage_ledger(reconciled(bronze))
        assert (ledger.balanced, ledger.lost, ledger.source_rows) == (True, 20, 130)
        fill(ACCEPTED, [110], partition=1)  # a backup of the topic had it
        assert (stage_ledger(reconciled(bronze)).lost, len(reconciled(bronze).surplus)) == (19, 0)

    def test_a_recreated_topic_is_refused(self, streaming, reconciled, bronze, send, taxi, topic_ids):
        """No matter how many events it has."""
        reconciled(bronze)
        topic_ids[taxi.topic.name] = "another"
        send(taxi.topic.name, 50, partition=1)
        with pytest.raises(AirflowException, match=r"taxi\.raw_trips was deleted and recreated: .* Next: restore it"):
            reconciled(bronze)

    def test_a_topic_that_ends_before_the_known_end(self, streaming, reconciled, bronze, monkeypatch, send, taxi):
        """A topic restored from a backup is fine if no table has more rows; otherwise those rows are surplus."""
        ends = TopicHook(taxi.topic.name).end_offsets()
        send(taxi.topic.name, 10, partition=1)
        assert len(reconciled(bronze).missing) == 10
        monkeypatch.setattr(TopicHook, "end_offsets", lambda hook: {**ends, 1: 102})
        found = reconciled(bronze)
        assert (str(found.missing), len(found.surplus)) == ("partition 1: offsets 100 to 101", 0)
        monkeypatch.setattr(TopicHook, "end_offsets", lambda hook: {**ends, 1: 98})
        found = reconciled(bronze)
        assert (len(found.missing), str(found.surplus)) == (0, "partition 1: offsets 98 to 99")

    def test_an_added_partition(self, streaming, reconciled, bronze, fill, monkeypatch):
        reconciled(bronze)
        end_offsets = TopicHook.end_offsets
        monkeypatch.setattr(TopicHook, "end_offsets", lambda hook: {**end_offsets(hook), 9: 3})
        start_offsets = TopicHook.start_offsets
        monkeypatch.setattr(TopicHook, "start_offsets", lambda hook: {**start_offsets(hook), 9: 0})
        assert str(reconciled(bronze).missing) == "partition 9: offsets 0 to 2"
        fill(ACCEPTED, range(3), partition=9)
        assert len(reconciled(bronze).missing) == 0


def test_a_damaged_state_is_reported(streaming, reconciled, bronze, tmp_path):
    reconciled(bronze)
    [file] = (tmp_path / "flink" / "reconciliation").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("nyc_taxi.bronze.json", 0o600)
    file.write_text("{")
    with pytest.raises(AirflowException, match=r"nyc_taxi\.bronze.*is damaged\. Next: delete the file"):
        reconciled(bronze)


def test_the_stored_state_stays_small(streaming, reconciled, bronze):
    reconciled(bronze)
    assert len(load(bronze).model_dump_json()) < 2_000
