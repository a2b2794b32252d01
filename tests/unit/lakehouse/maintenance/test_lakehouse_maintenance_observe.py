"""The observed state of a real table: small files by partition, and when rows were last written."""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.transforms import DayTransform, TruncateTransform
from streamed import DAYS, NAME, append, rewrite

from lakehouse.maintenance.conditions import Partition
from lakehouse.maintenance.observe import PartitionState, _key, measure, observe

MB = 1024 * 1024


def by_key(table, small_below: float = MB) -> dict[Partition | None, PartitionState]:
    return {partition.key: partition for partition in observe(table, small_below).partitions}


def test_a_table_without_a_snapshot(trips):
    state = observe(trips, MB)
    assert (state.name, state.partitions, state.manifests, state.snapshot_times) == (NAME, (), 0, ())
    assert state.metadata_bytes > 500
    assert (measure(trips).files, measure(trips).snapshots, measure(trips).manifests) == (0, 0, 0)


def test_files_by_partition(trips):
    for day in (DAYS[0], DAYS[0], DAYS[1]):
        append(trips, 3, day)
    first, second = (by_key(trips)[("pickup_date", day),] for day in DAYS)
    assert (first.files, first.small_files, second.files, second.small_files) == (2, 2, 1, 1)
    assert first.small_bytes == sum(f["file_size_in_bytes"] for f in trips.inspect.files().to_pylist()[:2])
    assert second.written_ms == trips.current_snapshot().timestamp_ms > first.written_ms
    assert by_key(trips, small_below=10)[first.key].small_files == 0
    assert measure(trips).manifests == observe(trips, MB).manifests == 3
    assert (measure(trips).files, measure(trips).snapshots) == (3, 3)


def test_a_rewrite_does_not_count_as_written_rows(trips):
    append(trips)
    append(trips)
    before = by_key(trips)
    rewrite(trips)
    [after] = by_key(trips).values()
    assert after.files == 1
    assert after.written_ms == 0 < before[after.key].written_ms


def test_the_inflow_of_an_hour_counts_written_and_not_rewritten_bytes(trips):
    append(trips)
    append(trips)
    written = sum(file["file_size_in_bytes"] for file in trips.inspect.files().to_pylist())
    rewrite(trips)
    assert observe(trips.refresh(), MB).inflow_bytes == written > 0


def test_files_of_an_expired_snapshot_are_older_than_the_rest(trips):
    first = append(trips)
    append(trips, day=DAYS[1])
    trips.maintenance.expire_snapshots().by_id(first).commit()
    assert {p.written_ms for p in observe(trips.refresh(), MB).partitions} == {trips.current_snapshot().timestamp_ms}


def test_a_null_partition_and_an_unpartitioned_table(iceberg, trips, fill):
    trips.append(pa.table([["t"], pa.array([None], pa.date32())], schema=trips.schema().as_arrow()))
    assert list(by_key(trips)) == [(("pickup_date", None),)]
    fill("silver.rejected_trips", 2)
    assert list(by_key(iceberg.load_table("silver.rejected_trips"))) == [()]
    fill("bronze.raw_trips", 2, partition=1)
    assert list(by_key(iceberg.load_table("bronze.raw_trips"))) == [(("kafka_partition", 1),)]


def test_a_transform_hides_its_values(iceberg):
    iceberg.create_namespace("silver")
    with iceberg.create_table_transaction("silver.by_day", pa.schema([("at", pa.timestamp("us"))])) as draft:
        draft.update_spec().add_field("at", DayTransform()).commit()
    table = iceberg.load_table("silver.by_day")
    assert _key(table, table.spec().spec_id, (19_000,)) is None
    with iceberg.create_table_transaction("silver.by_letter", pa.schema([("name", pa.string())])) as draft:
        draft.update_spec().add_field("name", TruncateTransform(1)).commit()
    table = iceberg.load_table("silver.by_letter")
    assert _key(table, table.spec().spec_id, ("a",)) is None


def test_the_spec_may_change(trips):
    append(trips)
    with trips.update_spec() as change:
        change.remove_field("pickup_date")
    append(trips)
    assert sorted(by_key(trips)) == [(), (("pickup_date", DAYS[0]),)]
