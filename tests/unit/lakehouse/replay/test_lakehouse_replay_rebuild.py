"""The new tables are built by the same SQL, with separate tables, consumer groups and state."""

from __future__ import annotations

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowFailException
from pyiceberg.types import StringType

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.airflow.operators.replay import FlinkReplayOperator, FlinkReplaySensor
from lakehouse.pipelines.script import stage_script
from lakehouse.replay.plan import ReplayPlan, make_plan
from lakehouse.replay.rebuild import building_job, rows_behind, start

FORM = {"from_timestamp": None, "from_offsets": None}


def planned(job: str, **form) -> ReplayPlan:
    return make_plan("run 1", {**FORM, "from_stage": job, **form})


def test_it_is_the_same_sql_with_other_names(rides):
    plan = planned("rides.typing")
    stage = rides.stages["typing"]
    built = building_job(plan, stage)
    names = {name: f"{name.replace('.', f'_replay_{plan.id}.')}" for name in stage.tables}
    expected = stage_script(rides, stage)
    for name, other in names.items():
        expected = expected.replace(f"iceberg_catalog.{name} ", f"iceberg_catalog.{other} ")
    for namespace in ("core", "refused"):
        expected = expected.replace(f"iceberg_catalog.{namespace};", f"iceberg_catalog.{namespace}_replay_{plan.id};")
    assert built.script == expected
    assert "FROM iceberg_catalog.bronze.rides" in built.script
    assert built.tables == tuple(names.values())
    assert built.name == f"rides.typing-replay-{plan.id}"
    assert built.savepoint_dir == f"{built.state_dir}/savepoints/{built.name}"


def test_a_stage_reads_the_new_table_of_the_one_before_it(rides):
    plan = planned("rides.landing")
    typing, splitting = (building_job(plan, rides.stages[name]) for name in ("typing", "splitting"))
    assert f"FROM iceberg_catalog.bronze_replay_{plan.id}.rides\n" in typing.script
    assert f"FROM iceberg_catalog.core_replay_{plan.id}.rides " in splitting.script


def test_it_does_not_use_the_live_jobs_consumer_groups(rides):
    plan = planned("rides.landing")
    landing = building_job(plan, rides.stages["landing"])
    assert landing.script.count(f"'lakehouse-rides.landing-replay-{plan.id}") == 2
    assert landing.topic_tables == {
        "topic_accepted": f"bronze_replay_{plan.id}.rides",
        "topic_rejected": f"refused_replay_{plan.id}.rides",
    }


def test_all_stages_are_started_in_their_order(rides, flink):
    plan = planned("rides.landing")
    ids = start(plan)
    assert (
        list(ids) == [f"rides.{name}-replay-{plan.id}" for name in ("landing", "typing", "splitting")] == flink.live()
    )
    assert start(plan) == ids
    assert len(flink.live()) == 3


def test_sources_start_at_the_planned_offsets_or_at_a_tables_first_row(live, flink):
    start(planned("nyc_taxi.bronze", from_offsets=",".join(f"{p}:{end}" for p, end in live.end_offsets().items())))
    moved = [statement for statement in flink.statements if statement.startswith("ALTER TABLE")]
    assert [statement.split()[2] for statement in moved] == ["topic_accepted", "topic_rejected"]
    assert all("'scan.startup.mode' = 'specific-offsets'" in statement for statement in moved)
    assert all("partition:0,offset:4" in statement for statement in moved)


def test_rows_before_the_start_are_copied_with_common_columns(live, rows, iceberg, flink):
    """New columns are NULL, columns that are no longer declared are dropped."""
    plan = planned("nyc_taxi.bronze")
    with iceberg.load_table("bronze.raw_trips").update_schema() as change:
        change.add_column("DOLocationID", StringType())
        change.add_column("dropped", StringType())
    flink.created = lambda name: rows(name, DOLocationID=pa.string(), added=pa.string())
    start(plan)
    copies = [statement for statement in flink.statements if statement.startswith("INSERT INTO")]
    assert [statement.split()[2] for statement in copies] == [
        f"iceberg_catalog.bronze_replay_{plan.id}.{name}" for name in ("raw_trips", "rejected_events")
    ]
    assert (
        "SELECT `kafka_partition`, `kafka_offset`, `DOLocationID` FROM iceberg_catalog.bronze.raw_trips\n" in copies[0]
    )
    assert "SELECT `kafka_partition`, `kafka_offset` FROM iceberg_catalog.bronze.rejected_events\n" in copies[1]
    assert copies[0].endswith(f"WHERE {plan.before_start}")
    assert flink.sessions[0]["table.dml-sync"] == "true"
    assert flink.statements.index(copies[0]) < next(
        n for n, text in enumerate(flink.statements) if text.startswith("EXEC")
    )


def test_nothing_is_copied_for_a_stage_that_reads_a_table(live, flink):
    start(planned("nyc_taxi.silver"))
    assert not [statement for statement in flink.statements if statement.startswith(("INSERT INTO", "ALTER TABLE"))]


def test_leftovers_of_an_earlier_try_are_removed(live, rows, iceberg, flink):
    plan = planned("nyc_taxi.silver")
    rows(plan.table("silver.cleaned_trips"), (0, 0))
    start(plan)
    assert iceberg.load_table(plan.table("silver.cleaned_trips")).scan().count() == 0
    assert iceberg.load_table("silver.cleaned_trips").scan().count() == 3


def test_number_of_rows_behind(rides, rows, flink):
    plan = planned("rides.landing")
    start(plan)
    rows(plan.table("refused.rides"), (0, 0))
    rows(plan.table("bronze.rides"), (0, 1))
    assert rows_behind(plan) == {"landing": 1, "typing": 1, "splitting": 0}
    flink.jobs[start(plan)[plan.job("splitting")]]["state"] = "FAILED"
    with pytest.raises(AirflowFailException, match=rf"rides\.splitting-replay-{plan.id} is gone: nothing was switched"):
        rows_behind(plan)


def test_the_tasks_of_the_dag(rides, flink):
    plan = planned("rides.landing")
    assert FlinkReplayOperator(task_id="rebuild", plan=plan.as_dict()).execute({}) == start(plan)
    sensor = FlinkReplaySensor(task_id="catch_up", plan=plan.as_dict())
    assert sensor.poke({})
    sensor.max_rows_behind = 3
    assert not sensor.poke({})


def test_a_failed_copy_and_that_of_an_earlier_try_are_cancelled(live, flink, taxi):
    plan = planned("nyc_taxi.bronze")
    copying = f"nyc_taxi.bronze-replay-{plan.id}-copy"
    flink.runs(copying)
    execute = flink.execute

    def fail(statement: str) -> None:
        if statement.startswith("INSERT INTO"):
            assert flink.live() == []
            assert flink.sessions[-1]["pipeline.name"] == copying
            flink.runs(copying)
            raise ConnectionError("the gateway is gone")
        execute(statement)

    flink.execute = fail
    with pytest.raises(FlinkError):
        start(plan)
    assert flink.live() == []
