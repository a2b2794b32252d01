"""A replay is planned before it touches anything, builds with the same SQL beside, and switches all tables or none."""

from __future__ import annotations

import os
import re
from functools import partial

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.maintenance.lease import lease
from lakehouse.replay import switch as switch_module
from lakehouse.replay.plan import ReplayPlan, make_plan
from lakehouse.replay.rebuild import beside
from lakehouse.replay.switch import Switch, aside
from lakehouse.streaming import record as records
from lakehouse.streaming.declared import JOBS
from lakehouse.streaming.job import FlinkJob
from lakehouse.streaming.record import JobRecord, Version

TOPIC = "taxi.raw_trips"
FORM = {"target": "bronze_and_silver", "from_timestamp": None, "from_offsets": None}
PLAN = ReplayPlan("0a1b2c3d", "silver", {}, 0, 0, {})


@pytest.fixture
def rows(iceberg):
    """Give a table rows of these positions: (partition, offset)."""

    def rows(name: str, *positions: tuple[int, int]) -> str:
        iceberg.create_namespace_if_not_exists(name.split(".")[0])
        schema = pa.schema([("kafka_partition", pa.int32()), ("kafka_offset", pa.int64())])
        table = iceberg.create_table_if_not_exists(name, schema)
        partitions, offsets = zip(*positions, strict=True) if positions else ((), ())
        table.append(pa.table([partitions, offsets], schema=schema))
        return str(table.metadata.table_uuid)

    return rows


@pytest.fixture
def live(rows, send) -> TopicHook:
    """Four events, which the live tables hold."""
    send(TOPIC, 4)
    topic = TopicHook(TOPIC)
    ends = topic.end_offsets()
    events = [(partition, offset) for partition, end in ends.items() for offset in range(end)]
    rows("bronze.raw_trips", *events[:3])
    rows("bronze.rejected_events", *events[3:])
    for name in JOBS["silver"].tables:
        rows(name, *(events[:3] if name == "silver.cleaned_trips" else ()))
    return topic


def test_silver_is_rebuilt_from_the_whole_of_bronze(live):
    plan = make_plan(live, "run 1", {**FORM, "target": "silver"})
    assert (plan.start, plan.read_again, plan.kept, plan.layers) == ({}, 3, 0, ("silver",))
    assert plan.rows_now == {"silver.cleaned_trips": 3, "silver.rejected_trips": 0, "silver.duplicate_trips": 0}
    assert make_plan(live, "run 1", {**FORM, "target": "silver"}) == plan
    assert make_plan(live, "run 2", {**FORM, "target": "silver"}).id != plan.id


def test_without_a_start_all_that_the_topic_holds_is_read_again(live):
    plan = make_plan(live, "run 1", FORM)
    assert (set(plan.start.values()), plan.read_again, plan.kept) == ({0}, 4, 0)


def test_rows_before_the_start_are_kept(live):
    ends = live.end_offsets()
    plan = make_plan(live, "run 1", {**FORM, "from_offsets": ",".join(f"{p}:{end}" for p, end in ends.items())})
    assert (plan.read_again, plan.kept) == (0, 4)


def test_a_time_after_every_event_reads_nothing_again(live):
    plan = make_plan(live, "run 1", {**FORM, "from_timestamp": "2100-01-01"})
    assert (plan.read_again, plan.kept) == (0, 4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"target": "silver", "from_offsets": "0:0"}, "whole of Bronze"),
        ({"target": "silver", "from_timestamp": "2024-01-01"}, "whole of Bronze"),
        ({"from_timestamp": "2024-01-01", "from_offsets": "0:0"}, "give one of them"),
        ({"from_timestamp": "yesterday"}, "'yesterday' is not an ISO 8601 time"),
        ({"from_offsets": "0=0"}, "'0=0' is not of the form"),
        ({"from_offsets": "99:0"}, r"must name each of the partitions \[0"),
    ],
)
def test_a_form_that_does_not_fit_is_refused(live, change, says):
    with pytest.raises(AirflowFailException, match=says):
        make_plan(live, "run 1", {**FORM, **change})


def test_an_offset_that_the_topic_does_not_hold_is_refused(live):
    ends = live.end_offsets()
    with pytest.raises(AirflowFailException, match=r"partition 0 holds the offsets 0 to \d+, not 77"):
        make_plan(live, "run 1", {**FORM, "from_offsets": ",".join(f"{p}:77" for p in ends)})


def test_beside_it_is_the_same_sql_on_other_names():
    script = (
        "CREATE DATABASE IF NOT EXISTS iceberg_catalog.silver; 'properties.group.id' = 'g'; "
        "INSERT INTO iceberg_catalog.silver.cleaned_trips SELECT silver FROM iceberg_catalog.bronze.raw_trips"
    )
    job = FlinkJob("silver", script, JOBS["silver"].tables, "file:///flink")
    built = beside(job, PLAN)
    assert built.script == (
        "CREATE DATABASE IF NOT EXISTS iceberg_catalog.silver_replay_0a1b2c3d; 'properties.group.id' = 'g-replay-0a1b2c3d'; "
        "INSERT INTO iceberg_catalog.silver_replay_0a1b2c3d.cleaned_trips SELECT silver FROM iceberg_catalog.bronze.raw_trips"
    )
    assert built.tables == tuple(f"silver_replay_0a1b2c3d.{name.split('.')[1]}" for name in job.tables)
    assert (built.name, built.savepoint_dir) == ("silver-replay-0a1b2c3d", f"{job.state_dir}/savepoints/{built.name}")


@pytest.fixture
def at_rest(http, connect):
    """A JobManager with no job."""
    connect("flink_rest", port=http.server_port)
    http["GET /jobs/overview"] = {"jobs": []}


@pytest.fixture
def built(live, rows, at_rest, tmp_path):
    """The tables of a replay of Silver, complete but for what a test changes, and their switch."""

    def built(cleaned: int = 2, rejected: int = 1) -> Switch:
        rows("silver_replay_0a1b2c3d.cleaned_trips", *[(0, n) for n in range(cleaned)])
        rows("silver_replay_0a1b2c3d.rejected_trips", *[(0, n) for n in range(rejected)])
        rows("silver_replay_0a1b2c3d.duplicate_trips")
        return Switch(PLAN, live, f"file://{tmp_path}/flink")

    return built


def uuids(iceberg, namespace: str) -> set[str]:
    return {str(iceberg.load_table(table).metadata.table_uuid) for table in iceberg.list_tables(namespace)}


def test_the_new_tables_take_the_place_of_the_old_ones(iceberg, built):
    switch = built()
    old, new = uuids(iceberg, "silver"), uuids(iceberg, "silver_replay_0a1b2c3d")
    assert switch.run() == {"silver.cleaned_trips": 2, "silver.rejected_trips": 1, "silver.duplicate_trips": 0}
    assert (uuids(iceberg, "silver"), uuids(iceberg, aside("silver"))) == (new, old)


def test_a_second_run_finds_it_done(iceberg, built):
    switch = built()
    rows, new = switch.run(), uuids(iceberg, "silver")
    assert switch.run() == rows
    assert uuids(iceberg, "silver") == new


def test_it_waits_for_maintenance_before_it_stops_anything(iceberg, built, http, monkeypatch):
    switch = built()
    monkeypatch.setattr(switch_module, "lease", partial(lease, wait_s=0.2))
    with lease("silver.rejected_trips", "expire_snapshots", "a run"):
        http.asked.clear()
        said = r"the lease of silver\.rejected_trips for the switch of a replay.*held by a run \(expire_snapshots\)"
        with pytest.raises(TimeoutError, match=said):
            switch.run()
        assert {method for method, *_ in http.asked} == {"GET"}
    switch.run()


def test_nobody_maintains_what_is_being_switched(built, monkeypatch):
    switch = built()

    def during_the_swap() -> None:
        with pytest.raises(TimeoutError), lease("silver.cleaned_trips", "expire_snapshots", wait_s=0.2):
            pass
        Switch._swap(switch)

    monkeypatch.setattr(switch, "_swap", during_the_swap)
    switch.run()


@pytest.mark.parametrize(("cleaned", "rejected"), [(2, 0), (3, 1)])
def test_tables_that_miss_or_double_rows_do_not(iceberg, built, cleaned, rejected):
    switch = built(cleaned, rejected)
    old = uuids(iceberg, "silver")
    with pytest.raises(AirflowException, match=rf"Nothing was switched: Bronze holds 3 rows, .* {cleaned + rejected}"):
        switch.run()
    assert uuids(iceberg, "silver") == old


def test_the_new_tables_of_the_replay_before_go_at_the_next(iceberg, built):
    built().run()
    first = uuids(iceberg, "silver")
    built().run()
    assert uuids(iceberg, aside("silver")) == first


def test_what_ran_before_the_switch_is_no_measure_for_what_runs_after(built, tmp_path):
    state_dir = f"file://{tmp_path}/flink"
    records.save(state_dir, "silver", JobRecord(proven=Version("f", "INSERT", {})))
    built().run()
    assert records.load(state_dir, "silver") == JobRecord()


def test_abandoned_it_leaves_the_live_tables_and_nothing_else(iceberg, built):
    switch = built()
    old = uuids(iceberg, "silver")
    checkpoints = switch.state_dir.removeprefix("file://") + "/checkpoints/silver-replay-0a1b2c3d"
    os.makedirs(f"{checkpoints}/1f0c/chk-1")
    switch.abandon()
    assert uuids(iceberg, "silver") == old
    assert not iceberg.namespace_exists("silver_replay_0a1b2c3d")
    assert not os.path.exists(checkpoints)


@pytest.mark.parametrize("wrong", ["missing", "doubled", None])
def test_each_event_must_be_in_the_new_bronze_once(live, rows, at_rest, tmp_path, wrong):
    plan = ReplayPlan("0a1b2c3d", "bronze_and_silver", {}, 0, 0, {})
    ends = live.end_offsets()
    events = [(partition, offset) for partition, end in ends.items() for offset in range(end)]
    changed = {"missing": events[1:], "doubled": [events[0], *events], None: events}[wrong]
    rows(plan.table("bronze.raw_trips"), *changed)
    rows(plan.table("bronze.rejected_events"))
    found = Switch(plan, live, f"file://{tmp_path}/flink")._unlike(ends)
    partition, end = events[0][0], ends[events[0][0]]
    expected = {"missing": f"{end - 1} rows of {end - 1} events", "doubled": f"{end + 1} rows of {end} events"}
    assert found == ([] if wrong is None else [f"partition {partition} has {expected[wrong]} instead of {end}"])
    assert not any(re.search(r"bronze\b", text) for text in found)
