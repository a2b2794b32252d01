"""The policy at its thresholds: what is not due yet, what is due, how it is done, and the reasons."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.maintenance.observe import PartitionState, TableState
from lakehouse.maintenance.policy import MANIFEST_BYTES, Decision, decide
from lakehouse.maintenance.settings import Operation, thresholds

MB = 1024 * 1024
DAY_MS = 86_400_000
NOW = 100 * DAY_MS
CLOSED_MS, OPEN_MS = NOW - 3_600_000, NOW - 3_599_999
SILVER = "silver.cleaned_trips"


def partition(day: int, small: int, small_mb: float = 1, written_ms: int = CLOSED_MS, **more) -> PartitionState:
    return PartitionState(
        (("pickup_date", date(2024, 1, day)),), small, small, int(small * small_mb * MB), written_ms=written_ms, **more
    )


def rewrite(*partitions: PartitionState, name: str = SILVER, **options) -> Decision:
    return decide(Operation.REWRITE_DATA_FILES, TableState(name, partitions), thresholds(), NOW, **options)


def test_nothing_to_rewrite_says_so():
    assert rewrite() == Decision(Operation.REWRITE_DATA_FILES, 0, f"{SILVER}: no small files", ())
    assert not rewrite().due


def test_a_closed_partition_is_rewritten_if_that_saves_a_single_file():
    assert not rewrite(partition(1, 1)).due
    found = rewrite(partition(1, 2), partition(2, 1))
    assert found.due
    assert found.reason == f"{SILVER}: 2 small files in 1 partition, 1 closed partition fully"
    files = {"target_file_size_bytes": 128 * MB, "min_input_files": 2, "delete_file_threshold": 1}
    assert found.calls == ({"strategy": "binpack", **files, "where": "(`pickup_date` = DATE '2024-01-01')"},)


def test_a_partition_is_sorted_only_when_it_is_closed():
    closed, open_ = partition(1, 2), partition(2, 500, 0.1, OPEN_MS)
    fully, lightly = rewrite(closed, open_, partition(3, 1), sort_order="pickup_date,pickup_hour").calls
    assert (fully["strategy"], fully["sort_order"]) == ("sort", "pickup_date,pickup_hour")
    assert (lightly["strategy"], "sort_order" in lightly) == ("binpack", False)


def test_and_only_once():
    """1.2 times the target is written as two files, which are small again: another rewrite would save nothing."""
    assert not rewrite(partition(1, 2, small_mb=77)).due
    assert rewrite(partition(1, 3, small_mb=77)).due


@pytest.mark.parametrize(("saves", "due"), [(99, False), (100, True)])
def test_an_open_partition_waits_until_it_saves_many_files(saves, due):
    found = rewrite(partition(1, saves + 1, 0.01, OPEN_MS), partition(2, 1))
    assert (found.due, found.score) == (due, saves / 100)
    if due:
        assert found.reason == f"{SILVER}: 101 small files in 1 partition, 1 open one lightly"
        [call] = found.calls
        assert (call["strategy"], call["max_rewrite_bytes"], call["min_input_files"]) == ("binpack", 1024 * MB, 100)
        assert "sort_order" not in call
    else:
        assert (
            "a rewrite would save nothing in closed partitions, and less than 100 files in any open one" in found.reason
        )


def test_both_kinds_are_two_calls():
    found = rewrite(*(partition(day, 10) for day in (1, 2, 3)), partition(4, 500, 0.1, OPEN_MS), partition(5, 1))
    assert found.reason == f"{SILVER}: 530 small files in 4 partitions, 3 closed partitions fully, 1 open one lightly"
    fully, lightly = found.calls
    assert fully["where"] == "(`pickup_date` BETWEEN DATE '2024-01-01' AND DATE '2024-01-03')"
    assert lightly["where"] == "(`pickup_date` = DATE '2024-01-04')"


def test_a_rewrite_of_a_whole_table_has_no_where():
    whole = PartitionState((), 5, 5, 5 * MB, written_ms=CLOSED_MS)
    [call] = rewrite(whole, name="silver.rejected_trips").calls
    assert (call["strategy"], "where" in call) == ("binpack", False)
    hidden = [replace(partition(1, 5), key=None), partition(2, 1)]
    assert "where" not in rewrite(*hidden).calls[0]


def test_files_from_before_the_table_was_partitioned_may_hold_any_row():
    before = PartitionState((), 5, 5, 5 * MB, written_ms=CLOSED_MS)
    [call] = rewrite(before, partition(1, 5), partition(2, 1)).calls
    assert "where" not in call


def test_partitions_that_never_close_are_only_rewritten_lightly():
    kafka = [replace(partition(1, 200, 0.1, OPEN_MS), key=(("kafka_partition", number),)) for number in range(3)]
    found = rewrite(*kafka, name="bronze.raw_trips")
    assert found.reason == "bronze.raw_trips: 600 small files in 3 partitions, 3 open ones lightly"


def test_delete_files_are_worth_a_rewrite():
    assert rewrite(partition(1, 0, delete_files=1)).due
    assert not rewrite(partition(1, 0, written_ms=OPEN_MS, delete_files=19)).due
    found = rewrite(partition(1, 0, written_ms=OPEN_MS, delete_files=20))
    assert found.calls[0]["delete_file_threshold"] == 20
    assert found.reason == f"{SILVER}: 0 small files and 20 delete files in 1 partition, 1 open one lightly"


def test_on_request_an_open_partition_does_not_wait():
    assert not rewrite(partition(1, 1, written_ms=OPEN_MS), force=True).due
    assert rewrite(partition(1, 2, written_ms=OPEN_MS), force=True).calls[0]["min_input_files"] == 2


@pytest.mark.parametrize(("manifests", "due"), [(50, False), (51, True)])
def test_manifests(manifests, due):
    table = TableState(SILVER, manifests=manifests, manifest_bytes=1000)
    found = decide(Operation.REWRITE_MANIFESTS, table, thresholds(), NOW)
    assert found.due is due
    assert found.reason == f"{SILVER}: {manifests} manifests, 1 would suffice (limit 50 more)"
    full = replace(table, manifest_bytes=manifests * MANIFEST_BYTES)
    assert not decide(Operation.REWRITE_MANIFESTS, full, thresholds(), NOW, force=True).due
    assert decide(Operation.REWRITE_MANIFESTS, table, thresholds(), NOW, force=True).due
    assert not decide(Operation.REWRITE_MANIFESTS, TableState(SILVER), thresholds(), NOW, force=True).due


def expire(old: int, days: float = 2, young: int = 100, last_days: float | None = 1, **more) -> Decision:
    times = [NOW] * young + [int(NOW - days * DAY_MS)] * old
    last_ms = None if last_days is None else int(NOW - last_days * DAY_MS)
    table = TableState(SILVER, snapshot_times=tuple(times), metadata_bytes=more.pop("metadata_bytes", 0))
    return decide(Operation.EXPIRE_SNAPSHOTS, table, thresholds(), NOW, last_ms, **more)


def test_nothing_is_old_enough_to_expire():
    for found in (expire(0), expire(5, days=0.99), expire(5, young=95), expire(1, young=0, days=50)):
        assert not found.due
        assert "is old enough to expire; the last 100 and those of the last 1 day are kept" in found.reason
        assert not expire(0, force=True).due


def test_expiry_by_count_by_size_and_weekly():
    assert not expire(999, last_days=6.9, metadata_bytes=8 * MB - 1).due
    assert "1,000 snapshots may expire (limit 1000)" in expire(1000).reason
    assert expire(1000).due
    assert "the metadata file has 8,388,608 bytes" in expire(1, metadata_bytes=8 * MB).reason
    assert expire(1, metadata_bytes=8 * MB).due
    assert "the last expiry was 7 days ago (every 7 days)" in expire(1, last_days=7).reason
    assert expire(1, last_days=7).due
    assert expire(1, last_days=0, force=True).due
    assert expire(1).calls == ({"older_than": NOW - DAY_MS, "retain_last": 100},)


def test_before_the_first_expiry_the_age_of_the_oldest_snapshot_counts():
    assert not expire(1, days=6.9, last_days=None).due
    assert expire(1, days=7, last_days=None).due


def test_orphans_weekly():
    def orphans(last_days: float | None, **asked) -> Decision:
        last_ms = None if last_days is None else int(NOW - last_days * DAY_MS)
        return decide(Operation.REMOVE_ORPHAN_FILES, TableState(SILVER), thresholds(), NOW, last_ms, **asked)

    assert [orphans(days).due for days in (None, 7, 6.9)] == [True, True, False]
    assert orphans(0, force=True).due
    assert orphans(None).reason == f"{SILVER}: last search for orphan files never (every 7 days)"
    assert orphans(None).calls == ({"older_than": NOW - 3 * DAY_MS},)


def test_a_run_overrides_thresholds_by_name():
    assert thresholds({"open_files": 2}).open_files == 2
    with pytest.raises(AirflowException, match=r"Unknown threshold 'open_file'.*choose one of .*open_files"):
        thresholds({"open_file": 2})
    for wrong in ("2", True, -1, None):
        with pytest.raises(
            AirflowException, match=rf"The threshold open_files: {wrong!r}: Input should be .*Next: correct"
        ):
            thresholds({"open_files": wrong})


def test_young_orphans_need_an_override(monkeypatch):
    settings = json.loads(os.environ["AIRFLOW_VAR_MAINTENANCE_THRESHOLDS"])
    assert thresholds({"orphan_age_s": 0}).orphan_age_s == 0
    monkeypatch.setenv("AIRFLOW_VAR_MAINTENANCE_THRESHOLDS", json.dumps(settings | {"orphan_age_s": 86_399}))
    with pytest.raises(AirflowException, match=r"thresholds: orphan_age_s: 86399 .*use 86400 or more.*override it for"):
        thresholds()


class TestAWeek:
    """A table with three Kafka partitions that are written to continuously; maintenance runs hourly."""

    COMMITS_AN_HOUR = 360
    PARTITIONS = 3

    def small_files(self, bytes_an_hour: int) -> list[int]:
        """Number of small files after each run of a week."""
        size = bytes_an_hour // self.COMMITS_AN_HOUR // self.PARTITIONS
        partitions: list[Counter[int]] = [Counter() for _ in range(self.PARTITIONS)]
        found = []
        for hour in range(7 * 24):
            now = NOW + hour * 3_600_000
            for files in partitions:
                files[size] += self.COMMITS_AN_HOUR
            state = TableState(
                "bronze.raw_trips",
                tuple(self.seen(n, files, now) for n, files in enumerate(partitions)),
                inflow_bytes=bytes_an_hour,
            )
            for call in decide(Operation.REWRITE_DATA_FILES, state, thresholds(), now).calls:
                budget = call["max_rewrite_bytes"]
                for files in partitions:
                    budget -= self.rewrite(files, budget)
            found.append(sum(self.seen(0, files, now).small_files for files in partitions))
        return found

    @staticmethod
    def seen(number: int, files: Counter[int], now: int) -> PartitionState:
        small = {size: count for size, count in files.items() if size < thresholds().small_file_bytes}
        return PartitionState(
            (("kafka_partition", number),), files.total(), sum(small.values()),
            sum(size * count for size, count in small.items()), written_ms=now,
        )  # fmt: skip

    @staticmethod
    def rewrite(files: Counter[int], budget: int) -> int:
        """Pack small files into large ones within the budget; return the bytes."""
        target, done = thresholds().target_file_bytes, 0
        for size in sorted(size for size in files if size < thresholds().small_file_bytes):
            taken = min(files[size], (budget - done) // size)
            files[size] -= taken
            done += taken * size
        files[target] += done // target
        files[done % target] += 1
        return done

    @pytest.mark.parametrize("events_a_second", [100, 1_000, 10_000])
    def test_there_are_always_few_small_files(self, events_a_second):
        after_each = self.small_files(events_a_second * 3_600 * 60)  # bytes of an event in Parquet
        assert max(after_each) <= 2 * self.PARTITIONS * self.COMMITS_AN_HOUR
        assert max(after_each[-24:]) <= 300


def test_a_higher_inflow_means_more_rewriting():
    open_ = partition(1, 500, 0.1, OPEN_MS)
    for inflow, most in ((0, 1024 * MB), (512 * MB, 1024 * MB), (2_000 * MB, 4_000 * MB)):
        state = TableState(SILVER, (open_,), inflow_bytes=inflow)
        [call] = decide(Operation.REWRITE_DATA_FILES, state, thresholds(), NOW).calls
        assert call["max_rewrite_bytes"] == most
