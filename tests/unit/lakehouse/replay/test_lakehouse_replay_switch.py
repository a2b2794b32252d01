"""All tables of a replay are switched, or none; no other table or job is changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import pytest
from airflow.sdk.exceptions import AirflowException
from more_pipelines import positions

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.erasure import log as erasures
from lakehouse.erasure.delete import delete_rows
from lakehouse.erasure.log import Erasure
from lakehouse.maintenance.lease import lease
from lakehouse.reconciliation.positions import Positions
from lakehouse.reconciliation.reconcile import reconcile
from lakehouse.replay import switch as switch_module
from lakehouse.replay.plan import ReplayPlan, make_plan
from lakehouse.replay.switch import Switch
from lakehouse.streaming import record as records
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.record import JobRecord, Start, Version
from lakehouse.streaming.stages import job_state
from lakehouse.tables.namespaces import backup_of

FORM = {"from_timestamp": None, "from_offsets": None}
SILVER = ("silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips")


@pytest.fixture
def built(live, rows, flink):
    """The tables of a replay of Silver, complete except for a test's changes, and their switch."""

    def built(cleaned: Sequence[int] = (0, 1), rejected: Sequence[int] = (2,)) -> Switch:
        """Tables with rows for some of the three events in Bronze."""
        plan = make_plan("run 1", {**FORM, "from_stage": "nyc_taxi.silver"})
        events = positions(live)
        rows(plan.table(SILVER[0]), *[events[n] for n in cleaned])
        rows(plan.table(SILVER[1]), *[events[n] for n in rejected])
        rows(plan.table(SILVER[2]))
        return Switch(plan)

    return built


def test_the_new_tables_replace_the_old_ones(built, identity):
    switch = built()
    old, new = ({name: identity(place(name)) for name in SILVER} for place in (str, switch.plan.table))
    assert switch.run() == {"silver.cleaned_trips": 2, "silver.rejected_trips": 1, "silver.duplicate_trips": 0}
    assert {name: identity(name) for name in SILVER} == new
    assert {name: identity(backup_of(name)) for name in SILVER} == old


def test_a_second_run_changes_nothing(built, identity):
    switch = built()
    rows, new = switch.run(), [*map(identity, SILVER)]
    assert switch.run() == rows
    assert [*map(identity, SILVER)] == new


def test_the_jobs_that_built_the_tables_are_recorded_as_writers(built, iceberg):
    switch = built()
    table = iceberg.load_table(switch.plan.table(SILVER[0]))
    for writer in ("copy", "builder", "builder"):
        table.append(table.scan(limit=0).to_arrow(), snapshot_properties={"flink.job-id": writer})
    silver = job_state(switch.plan.declared.stages["silver"])
    records.save(silver, JobRecord(starts=(Start(job_id="before", restored_from="file:///x/chk-7"),)))
    for _ in range(2):
        switch.run()
        assert [start.job_id for start in records.load(silver).starts] == ["before", "copy", "builder"]


def test_erased_rows_do_not_come_back(built, live, taxi, iceberg):
    partition, offset = positions(live)[1]
    erasure = Erasure(taxi.name, live.topic_id(), SILVER[0], Positions.of_offsets(partition, [offset]), "")
    erasures.begin(erasure)
    delete_rows(taxi.tables, erasure.positions, "test")
    assert built().run() == {"silver.cleaned_trips": 1, "silver.rejected_trips": 1, "silver.duplicate_trips": 0}
    assert iceberg.load_table(SILVER[0]).scan().to_arrow()["kafka_offset"].to_pylist() == [positions(live)[0][1]]


def test_it_waits_for_maintenance_before_it_stops_anything(built, http, monkeypatch):
    switch = built()
    monkeypatch.setattr(switch_module, "lease", partial(lease, wait_s=0.2))
    with lease("silver.rejected_trips", "expire_snapshots", "a run"):
        http.requests.clear()
        message = r"the lease of silver\.rejected_trips for the switch of a replay.*held by a run \(expire_snapshots\)"
        with pytest.raises(TimeoutError, match=message):
            switch.run()
        assert {method for method, *_ in http.requests} == {"GET"}
    switch.run()


def test_no_maintenance_or_deployment_during_the_switch(built, monkeypatch):
    switch = built()

    def during_the_swap() -> None:
        with pytest.raises(TimeoutError), lease("silver.cleaned_trips", "expire_snapshots", wait_s=0.2):
            pass
        for job in ("nyc_taxi.bronze", "nyc_taxi.silver"):
            with pytest.raises(TimeoutError), deployment_lock(job, 0.2):
                pass
        Switch._swap(switch)

    monkeypatch.setattr(switch, "_swap", during_the_swap)
    switch.run()


@pytest.mark.parametrize(
    ("cleaned", "rejected", "message"),
    [
        ([0, 1], [], "1 rows are missing (partition 0: offsets 2)"),
        ([0, 1, 2], [2], "1 rows are surplus (partition 0: offsets 2)"),
        # As many are missing as are surplus: the sum is right.
        ([0, 1, 1], [], "1 rows are missing (partition 0: offsets 2) and 1 rows are surplus (partition 0: offsets 1)"),
    ],
)
def test_tables_with_missing_or_duplicate_rows_are_not_switched(built, identity, cleaned, rejected, message):
    switch = built(cleaned, rejected)
    old = [*map(identity, SILVER)]
    message = rf"Nothing was switched: .* built, {re.escape(message)}"
    with pytest.raises(AirflowException, match=message):
        switch.run()
    assert [*map(identity, SILVER)] == old


def test_the_backup_tables_of_a_replay_are_deleted_by_the_next(built, identity):
    built().run()
    first = [*map(identity, SILVER)]
    built().run()
    assert [identity(backup_of(name)) for name in SILVER] == first


def test_all_are_switched_or_none(built, identity, iceberg, monkeypatch):
    switch = built()
    old = [*map(identity, SILVER)]
    iceberg.drop_table(switch.plan.table(SILVER[2]))
    with pytest.raises(
        AirflowException, match=r"Nothing was switched: table silver_replay_\w+\.duplicate_trips is gone"
    ):
        switch._swap()
    assert [*map(identity, SILVER)] == old


def test_the_history_before_the_switch_does_not_count_after_it(built, taxi):
    state = job_state(taxi.stages["silver"])
    records.save(state, JobRecord(suspended=True, last_stable=Version(script="INSERT", options={})))
    built().run()
    assert records.load(state) == JobRecord(suspended=True)


def test_the_jobs_are_stopped_with_savepoints_for_the_live_ones(built, flink):
    """Including live jobs that still run under their former names."""
    switch = built()
    building = switch.plan.job("silver")
    flink.runs("bronze", "nyc_taxi.silver", building)
    switch.run()
    assert flink.stopped == [
        ("nyc_taxi.silver", "nyc_taxi.silver"), ("bronze", "nyc_taxi.bronze"), (building, "nyc_taxi.silver")
    ]  # fmt: skip


def test_an_abandoned_replay_leaves_only_the_live_tables(built, identity, iceberg, flink, tmp_path):
    switch = built()
    old, building = [*map(identity, SILVER)], switch.plan.job("silver")
    flink.runs("nyc_taxi.bronze", "nyc_taxi.silver", building, f"{building}-copy")
    checkpoints = tmp_path / "flink/checkpoints"
    for job in (building, "nyc_taxi.silver"):
        (checkpoints / job / "1f0c/chk-1").mkdir(parents=True)
    switch.abandon()
    assert [*map(identity, SILVER)] == old
    assert not iceberg.namespace_exists(f"silver_replay_{switch.plan.id}")
    assert flink.live() == ["nyc_taxi.bronze", "nyc_taxi.silver"]
    assert [path.name for path in checkpoints.iterdir()] == ["nyc_taxi.silver"]
    switch.abandon()


@pytest.mark.parametrize("wrong", ["missing", "surplus", None])
def test_each_event_must_be_in_the_tables_of_the_topic_once(live, rows, flink, wrong):
    plan = make_plan("run 1", {**FORM, "from_stage": "nyc_taxi.bronze"})
    events = positions(live)
    changed = {"missing": events[1:], "surplus": [events[0], *events], None: events}[wrong]
    rows(plan.table("bronze.raw_trips"), *changed[:2])
    rows(plan.table("bronze.rejected_events"), *changed[2:])
    switch, stage = Switch(plan), plan.rebuilt[0]
    if wrong is None:
        switch._finish(stage)
        return
    with pytest.raises(
        AirflowException, match=rf"Nothing was switched: .* 1 rows are {wrong} \(partition \d: offsets \d\)"
    ):
        switch.run()


def test_the_reconciliation_state_of_the_new_tables_is_kept(built, taxi, monkeypatch):
    """They need not be read from the first row again."""
    built().run()
    monkeypatch.setattr("lakehouse.reconciliation.reconcile.all_rows", None)
    assert not reconcile(taxi, taxi.stages["silver"]).missing


class TestPipelinesThatShareNamespaces:
    """`rides` also writes to `bronze` and `silver`, and has three stages, one of which writes to two namespaces."""

    OF_BOTH = (
        "silver.cleaned_trips",
        "bronze.raw_trips",
        "bronze.rejected_events",
        "bronze.rides",
        "silver.long_rides",
    )

    @pytest.fixture
    def plan(self, live, rides) -> ReplayPlan:
        return make_plan("run 2", {**FORM, "from_stage": "rides.landing"})

    @pytest.fixture
    def complete(self, plan, rows, flink) -> Switch:
        """The complete tables of a replay of `rides`; and a backup table of the other pipeline's replay."""
        events = positions(TopicHook("rides.events"))
        rows(backup_of("bronze.raw_trips"), (0, 0))
        held = {
            "bronze.rides": events[:2],
            "refused.rides": events[2:],
            "core.rides": events[:1],
            "core.repeated": events[1:2],
            "silver.short_rides": events[:1],
        }
        for name in plan.tables:
            rows(plan.table(name), *held.get(name, ()))
        return Switch(plan)

    @pytest.fixture
    def others(self, taxi) -> tuple[str, ...]:
        return (*taxi.tables, backup_of("bronze.raw_trips"))

    def test_the_other_pipelines_tables_are_kept(self, complete, rides, others, identity):
        of_others, old = [*map(identity, others)], [*map(identity, rides.tables)]
        new = [identity(complete.plan.table(name)) for name in rides.tables]
        assert complete.run() == {
            "bronze.rides": 2, "refused.rides": 1, "core.rides": 1, "refused.untyped": 0, "core.repeated": 1,
            "silver.short_rides": 1, "silver.long_rides": 0,
        }  # fmt: skip
        assert [*map(identity, rides.tables)] == new
        assert [identity(backup_of(name)) for name in rides.tables] == old
        assert [*map(identity, others)] == of_others

    def test_the_other_pipelines_jobs_keep_running_and_can_be_deployed(self, complete, flink, monkeypatch):
        stages = ("landing", "typing", "splitting")
        flink.runs("nyc_taxi.bronze", "nyc_taxi.silver", *(f"rides.{name}" for name in stages))
        flink.runs(*map(complete.plan.job, stages))
        swap = complete._swap

        def during_the_swap() -> None:
            with (
                deployment_lock("nyc_taxi.bronze", 0.2),
                deployment_lock("nyc_taxi.silver", 0.2),
                lease("bronze.raw_trips", "expire_snapshots", wait_s=0.2, clear=lambda *_: None),
            ):
                swap()

        monkeypatch.setattr(complete, "_swap", during_the_swap)
        complete.run()
        assert flink.live() == ["nyc_taxi.bronze", "nyc_taxi.silver"]
        # Live jobs: readers first, then writers. Building jobs: the other way round, each when its source is complete.
        jobs = [f"rides.{name}" for name in stages]
        assert flink.stopped == [
            *((job, job) for job in reversed(jobs)),
            *((complete.plan.job(name), f"rides.{name}") for name in stages),
        ]

    def test_the_other_pipelines_records_are_kept(self, complete, taxi):
        remembered = JobRecord(last_stable=Version(script="INSERT", options={}))
        records.save(job_state(taxi.stages["bronze"]), remembered)
        complete.run()
        assert records.load(job_state(taxi.stages["bronze"])) == remembered

    def test_an_abandoned_replay_only_deletes_its_own_tables(
        self, complete, rides, others, identity, iceberg, rows, flink
    ):
        flink.runs("nyc_taxi.bronze", "rides.landing", complete.plan.job("landing"), complete.plan.job("splitting"))
        stray = f"bronze_replay_{complete.plan.id}.not_of_the_plan"
        rows(stray, (0, 0))
        kept = [*map(identity, (*others, *rides.tables, stray))]
        complete.abandon()
        assert [*map(identity, (*others, *rides.tables, stray))] == kept
        assert flink.live() == ["nyc_taxi.bronze", "rides.landing"]
        assert {name[0] for name in iceberg.list_namespaces() if "_replay_" in name[0]} == {stray.split(".")[0]}

    def test_missing_rows_in_a_later_stage_prevent_the_whole_switch(self, complete, rides, identity, rows):
        rows(complete.plan.table("silver.long_rides"), (0, 7))
        old = [*map(identity, rides.tables)]
        with pytest.raises(AirflowException, match=r"rides\.splitting-replay-.* 1 rows are surplus"):
            complete.run()
        assert [*map(identity, rides.tables)] == old

    @pytest.mark.parametrize("gone", ["bronze.rides", "silver.short_rides", "silver.long_rides"])
    def test_it_is_not_finished_while_a_table_is_left(self, complete, iceberg, gone):
        """As after a partly abandoned replay: missing tables must not count as switched."""
        iceberg.drop_table(complete.plan.table(gone))
        with pytest.raises(AirflowException, match=f"{gone.partition('.')[2]} does not exist"):
            complete.run()

    def test_a_replay_of_the_last_stage_does_not_change_earlier_ones(self, live, rides, rows, identity, flink):
        plan = make_plan("run 3", {**FORM, "from_stage": "rides.splitting"})
        rows(plan.table("silver.short_rides"), *positions(TopicHook("rides.events")))
        rows(plan.table("silver.long_rides"))
        flink.runs("rides.landing", "rides.typing", "rides.splitting", plan.job("splitting"))
        before = [identity(name) for name in rides.tables if name not in plan.tables]
        Switch(plan).run()
        assert flink.live() == ["rides.landing"]
        assert [identity(name) for name in rides.tables if name not in plan.tables] == before
        assert identity(backup_of("core.rides")) is None
