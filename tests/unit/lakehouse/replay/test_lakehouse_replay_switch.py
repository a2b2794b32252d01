"""All tables of a replay are switched, or none; no table or job of anybody else is touched."""

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
from lakehouse.tables.aside import aside

FORM = {"from_timestamp": None, "from_offsets": None}
SILVER = ("silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips")


@pytest.fixture
def built(live, rows, flink):
    """The tables of a replay of Silver, complete but for what a test changes, and their switch."""

    def built(cleaned: Sequence[int] = (0, 1), rejected: Sequence[int] = (2,)) -> Switch:
        """Tables with the rows of these of the three events of Bronze."""
        plan = make_plan("run 1", {**FORM, "from_stage": "nyc_taxi.silver"})
        events = positions(live)
        rows(plan.table(SILVER[0]), *[events[n] for n in cleaned])
        rows(plan.table(SILVER[1]), *[events[n] for n in rejected])
        rows(plan.table(SILVER[2]))
        return Switch(plan)

    return built


def test_the_new_tables_take_the_place_of_the_old_ones(built, identity):
    switch = built()
    old, new = ({name: identity(place(name)) for name in SILVER} for place in (str, switch.plan.table))
    assert switch.run() == {"silver.cleaned_trips": 2, "silver.rejected_trips": 1, "silver.duplicate_trips": 0}
    assert {name: identity(name) for name in SILVER} == new
    assert {name: identity(aside(name)) for name in SILVER} == old


def test_a_second_run_finds_it_done(built, identity):
    switch = built()
    rows, new = switch.run(), [*map(identity, SILVER)]
    assert switch.run() == rows
    assert [*map(identity, SILVER)] == new


def test_the_jobs_that_built_the_tables_are_known_as_their_writers(built, iceberg):
    switch = built()
    table = iceberg.load_table(switch.plan.table(SILVER[0]))
    for writer in ("copy", "builder", "builder"):
        table.append(table.scan(limit=0).to_arrow(), snapshot_properties={"flink.job-id": writer})
    silver = job_state(switch.plan.declared.stages["silver"])
    records.save(silver, JobRecord(starts=(Start(job_id="before", restored_from="file:///x/chk-7"),)))
    for _ in range(2):
        switch.run()
        assert [start.job_id for start in records.load(silver).starts] == ["before", "copy", "builder"]


def test_rows_that_were_erased_do_not_come_back(built, live, taxi, iceberg):
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
        http.asked.clear()
        said = r"the lease of silver\.rejected_trips for the switch of a replay.*held by a run \(expire_snapshots\)"
        with pytest.raises(TimeoutError, match=said):
            switch.run()
        assert {method for method, *_ in http.asked} == {"GET"}
    switch.run()


def test_nobody_maintains_or_deploys_what_is_being_switched(built, monkeypatch):
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
    ("cleaned", "rejected", "said"),
    [
        ([0, 1], [], "1 rows are missing (partition 0: offsets 2)"),
        ([0, 1, 2], [2], "1 rows are too many (partition 0: offsets 2)"),
        # As many are missing as there are too many: the sum is even.
        ([0, 1, 1], [], "1 rows are missing (partition 0: offsets 2) and 1 rows are too many (partition 0: offsets 1)"),
    ],
)
def test_tables_that_miss_or_duplicate_rows_do_not(built, identity, cleaned, rejected, said):
    switch = built(cleaned, rejected)
    old = [*map(identity, SILVER)]
    said = rf"Nothing was switched: .* built, {re.escape(said)}"
    with pytest.raises(AirflowException, match=said):
        switch.run()
    assert [*map(identity, SILVER)] == old


def test_the_tables_of_the_replay_before_go_at_the_next(built, identity):
    built().run()
    first = [*map(identity, SILVER)]
    built().run()
    assert [identity(aside(name)) for name in SILVER] == first


def test_all_are_switched_or_none(built, identity, iceberg, monkeypatch):
    switch = built()
    old = [*map(identity, SILVER)]
    iceberg.drop_table(switch.plan.table(SILVER[2]))
    with pytest.raises(
        AirflowException, match=r"Nothing was switched: table silver_replay_\w+\.duplicate_trips is gone"
    ):
        switch._swap()
    assert [*map(identity, SILVER)] == old


def test_what_ran_before_the_switch_is_no_measure_for_what_runs_after(built, taxi):
    state = job_state(taxi.stages["silver"])
    records.save(state, JobRecord(suspended=True, last_stable=Version(script="INSERT", options={})))
    built().run()
    assert records.load(state) == JobRecord(suspended=True)


def test_the_jobs_stop_with_savepoints_for_the_live_ones(built, flink):
    """The live jobs too when they run under the name that they had before."""
    switch = built()
    building = switch.plan.job("silver")
    flink.runs("bronze", "nyc_taxi.silver", building)
    switch.run()
    assert flink.stopped == [
        ("nyc_taxi.silver", "nyc_taxi.silver"), ("bronze", "nyc_taxi.bronze"), (building, "nyc_taxi.silver")
    ]  # fmt: skip


def test_abandoned_it_leaves_the_live_tables_and_nothing_else(built, identity, iceberg, flink, tmp_path):
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


@pytest.mark.parametrize("wrong", ["missing", "too many", None])
def test_each_event_must_be_in_the_tables_of_the_topic_once(live, rows, flink, wrong):
    plan = make_plan("run 1", {**FORM, "from_stage": "nyc_taxi.bronze"})
    events = positions(live)
    changed = {"missing": events[1:], "too many": [events[0], *events], None: events}[wrong]
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


def test_what_is_known_of_the_new_tables_is_kept(built, taxi, monkeypatch):
    """Nobody reads them again from their first row."""
    built().run()
    monkeypatch.setattr("lakehouse.reconciliation.reconcile.all_rows", None)
    assert not reconcile(taxi, taxi.stages["silver"]).missing


class TestPipelinesThatShareNamespaces:
    """`rides` writes `bronze` and `silver` too, and has three stages, one of which writes into two namespaces."""

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
        """The tables of a replay of `rides`, complete; and a table that a replay of the other pipeline put aside."""
        events = positions(TopicHook("rides.events"))
        rows(aside("bronze.raw_trips"), (0, 0))
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
        return (*taxi.tables, aside("bronze.raw_trips"))

    def test_the_tables_of_the_other_stay(self, complete, rides, others, identity):
        of_others, old = [*map(identity, others)], [*map(identity, rides.tables)]
        new = [identity(complete.plan.table(name)) for name in rides.tables]
        assert complete.run() == {
            "bronze.rides": 2, "refused.rides": 1, "core.rides": 1, "refused.untyped": 0, "core.repeated": 1,
            "silver.short_rides": 1, "silver.long_rides": 0,
        }  # fmt: skip
        assert [*map(identity, rides.tables)] == new
        assert [identity(aside(name)) for name in rides.tables] == old
        assert [*map(identity, others)] == of_others

    def test_the_jobs_of_the_other_go_on_and_can_be_deployed(self, complete, flink, monkeypatch):
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
        # Live jobs: who reads, then who writes. Those that built: the other way, each when its source is at rest.
        jobs = [f"rides.{name}" for name in stages]
        assert flink.stopped == [
            *((job, job) for job in reversed(jobs)),
            *((complete.plan.job(name), f"rides.{name}") for name in stages),
        ]

    def test_what_is_remembered_of_the_other_stays(self, complete, taxi):
        remembered = JobRecord(last_stable=Version(script="INSERT", options={}))
        records.save(job_state(taxi.stages["bronze"]), remembered)
        complete.run()
        assert records.load(job_state(taxi.stages["bronze"])) == remembered

    def test_abandoned_it_leaves_whatever_is_not_its_own(self, complete, rides, others, identity, iceberg, rows, flink):
        flink.runs("nyc_taxi.bronze", "rides.landing", complete.plan.job("landing"), complete.plan.job("splitting"))
        stray = f"bronze_replay_{complete.plan.id}.not_of_the_plan"
        rows(stray, (0, 0))
        kept = [*map(identity, (*others, *rides.tables, stray))]
        complete.abandon()
        assert [*map(identity, (*others, *rides.tables, stray))] == kept
        assert flink.live() == ["nyc_taxi.bronze", "rides.landing"]
        assert {name[0] for name in iceberg.list_namespaces() if "_replay_" in name[0]} == {stray.split(".")[0]}

    def test_a_later_stage_that_misses_rows_holds_all_back(self, complete, rides, identity, rows):
        rows(complete.plan.table("silver.long_rides"), (0, 7))
        old = [*map(identity, rides.tables)]
        with pytest.raises(AirflowException, match=r"rides\.splitting-replay-.* 1 rows are too many"):
            complete.run()
        assert [*map(identity, rides.tables)] == old

    @pytest.mark.parametrize("gone", ["bronze.rides", "silver.short_rides", "silver.long_rides"])
    def test_it_is_not_done_while_one_table_is_left(self, complete, iceberg, gone):
        """As after a replay that was abandoned halfway: the switch must not take what is missing for switched."""
        iceberg.drop_table(complete.plan.table(gone))
        with pytest.raises(AirflowException, match=f"{gone.partition('.')[2]} does not exist"):
            complete.run()

    def test_a_replay_of_the_last_stage_leaves_those_before_it(self, live, rides, rows, identity, flink):
        plan = make_plan("run 3", {**FORM, "from_stage": "rides.splitting"})
        rows(plan.table("silver.short_rides"), *positions(TopicHook("rides.events")))
        rows(plan.table("silver.long_rides"))
        flink.runs("rides.landing", "rides.typing", "rides.splitting", plan.job("splitting"))
        before = [identity(name) for name in rides.tables if name not in plan.tables]
        Switch(plan).run()
        assert flink.live() == ["rides.landing"]
        assert [identity(name) for name in rides.tables if name not in plan.tables] == before
        assert identity(aside("core.rides")) is None
