"""A replay is planned before anything is changed; invalid params are refused."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowFailException
from more_pipelines import RIDES, declare

from lakehouse.replay.plan import ReplayPlan, make_plan
from lakehouse.tables.namespaces import backup_of

BRONZE = {"from_stage": "nyc_taxi.bronze", "from_timestamp": None, "from_offsets": None}
SILVER = {**BRONZE, "from_stage": "nyc_taxi.silver"}


def test_a_stage_that_reads_a_table_is_rebuilt_from_the_whole_table(live):
    plan = make_plan("run 1", SILVER)
    assert (plan.start, plan.read_again, plan.kept, plan.stages) == ({}, 3, 0, ["silver"])
    assert plan.rows_now == {"silver.cleaned_trips": 3, "silver.rejected_trips": 0, "silver.duplicate_trips": 0}
    assert make_plan("run 1", SILVER) == plan
    assert make_plan("run 2", SILVER).id != plan.id


def test_later_stages_are_rebuilt_too(live):
    plan = make_plan("run 1", BRONZE)
    assert plan.stages == ["bronze", "silver"]
    assert list(plan.rows_now) == list(plan.declared.tables)


def test_without_a_start_the_whole_topic_is_read_again(live):
    plan = make_plan("run 1", BRONZE)
    assert (set(plan.start.values()), plan.read_again, plan.kept) == ({0}, 4, 0)


def test_rows_before_the_start_are_kept(live):
    ends = live.end_offsets()
    plan = make_plan("run 1", {**BRONZE, "from_offsets": ",".join(f"{p}:{end}" for p, end in ends.items())})
    assert (plan.read_again, plan.kept) == (0, 4)


def test_a_time_after_all_events_reads_nothing_again(live):
    plan = make_plan("run 1", {**BRONZE, "from_timestamp": "2100-01-01"})
    assert (plan.read_again, plan.kept) == (0, 4)


def test_a_plan_can_be_passed_through_xcom(live):
    plan = make_plan("run 1", BRONZE)
    assert ReplayPlan(**json.loads(json.dumps(plan.as_dict()))) == plan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"from_stage": "nyc_taxi.silver", "from_offsets": "0:0"}, "all rows of bronze.raw_trips"),
        ({"from_stage": "nyc_taxi.silver", "from_timestamp": "2024-01-01"}, "all rows of bronze.raw_trips"),
        ({"from_timestamp": "2024-01-01", "from_offsets": "0:0"}, "set only one of them"),
        ({"from_timestamp": "yesterday"}, "'yesterday' is not a time in ISO 8601"),
        ({"from_offsets": "0=0"}, "'0=0' is invalid"),
        ({"from_offsets": "99:0"}, r"name each of the partitions \[0"),
        ({"from_stage": "nyc_taxi.gold"}, r"no stage 'gold'.*nyc_taxi\.bronze, nyc_taxi\.silver"),
        ({"from_stage": "none.bronze"}, "no pipeline 'none'"),
    ],
)
def test_invalid_params_are_refused(live, change, message):
    with pytest.raises(AirflowFailException, match=message):
        make_plan("run 1", {**BRONZE, **change})


def test_an_offset_outside_the_topic_is_refused(live):
    ends = live.end_offsets()
    with pytest.raises(AirflowFailException, match=r"partition 0 has no offset 77\. Next: choose one from 0 to \d+"):
        make_plan("run 1", {**BRONZE, "from_offsets": ",".join(f"{p}:77" for p in ends)})


def test_a_catalog_without_a_database_is_refused_before_anything_is_built(http, connect):
    http["GET /v1/config"] = {"defaults": {}, "overrides": {}}
    connect("iceberg_catalog", extra={"type": "rest", "uri": f"http://127.0.0.1:{http.server_port}"})
    with pytest.raises(
        AirflowFailException, match=r"only a catalog in a database supports.* iceberg_catalog has another type"
    ):
        make_plan("run 1", SILVER)
    assert [path for _, path, _ in http.requests] == ["/v1/config"]


def test_a_disabled_pipeline_is_refused(live, monkeypatch, tmp_path):
    declare(monkeypatch, tmp_path, rides={**RIDES, "enabled": False})
    with pytest.raises(AirflowFailException, match="pipeline rides is disabled"):
        make_plan("run 1", {**BRONZE, "from_stage": "rides.landing"})


@pytest.mark.parametrize(
    ("first", "stages", "jobs"),
    [
        ("landing", ["landing", "typing", "splitting"], ["landing", "typing", "splitting"]),
        ("typing", ["typing", "splitting"], ["landing", "typing", "splitting"]),
        ("splitting", ["splitting"], ["typing", "splitting"]),
    ],
)
def test_rebuilt_tables_and_stopped_jobs_follow_from_the_declaration(rides, first, stages, jobs):
    plan = make_plan("run 1", {**BRONZE, "from_stage": f"rides.{first}"})
    assert (plan.stages, plan.jobs) == (stages, [f"rides.{name}" for name in jobs])
    assert list(plan.tables) == [table for name in stages for table in rides.stages[name].tables]
    assert plan.read_again == 3


def test_a_stage_that_is_not_downstream_keeps_running(rides, monkeypatch, tmp_path):
    more = {"sql": "rides/split.sql", "source": "bronze.rides", "sinks": {"short": "core.a", "long": "core.b"}}
    declare(monkeypatch, tmp_path / "more", rides={**RIDES, "stages": {**RIDES["stages"], "sampling": more}})
    plan = make_plan("run 1", {**BRONZE, "from_stage": "rides.typing"})
    assert (plan.stages, plan.jobs) == (["typing", "splitting"], ["rides.landing", "rides.typing", "rides.splitting"])


def test_names_are_unique(rides):
    plan = make_plan("run 1", {**BRONZE, "from_stage": "rides.landing"})
    assert plan.table("bronze.rides") == f"bronze_replay_{plan.id}.rides"
    assert plan.table("refused.rides") == f"refused_replay_{plan.id}.rides"
    assert plan.table("bronze.raw_trips") == "bronze.raw_trips"
    assert plan.job("landing") == f"rides.landing-replay-{plan.id}"
    assert backup_of("refused.rides") == "refused_before_replay.rides"
