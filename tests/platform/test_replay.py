"""`replay`: tables are rebuilt while the live ones are read, switched in one step, and Gold follows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from demo.main_job import MainJob
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.gold.file import count_fact
from lakehouse.pipelines.params import variable_name

LIMIT_S = 600
OUTSIDE = "tpep_pickup_datetime is outside the window"


@pytest.fixture
def replay(main_job: MainJob) -> Callable[..., dict]:
    """Run `replay` with these params, and return its plan."""

    def replay(**form: object) -> dict:
        run_id = main_job.api.trigger("replay", form)
        main_job.wait(lambda: main_job.api.state("replay", run_id) in ("success", "failed"), "the replay", LIMIT_S)
        assert main_job.api.state("replay", run_id) == "success", main_job.api.describe_failure("replay", run_id)
        return main_job.api.returned("replay", run_id, "plan")

    return replay


@pytest.fixture
def any_pickup(main_job: MainJob) -> Iterator[None]:
    """Silver accepts trips of any year until the end of the test."""
    window = {"pickup_from": "1990-01-01 00:00:00", "pickup_to": "2100-01-01 00:00:00"}
    name = variable_name(main_job.pipeline)
    main_job.api.call("POST", "variables", {"key": name, "value": json.dumps(window)})
    main_job.deploy()
    yield
    main_job.api.call("DELETE", f"variables/{name}")
    main_job.deploy()


@pytest.fixture
def identities(main_job: MainJob) -> Callable[..., dict[str, str]]:
    """Table -> UUID, for the tables of these stages."""

    def identities(*stages: str) -> dict[str, str]:
        names = [name for stage in stages for name in main_job.pipeline.stages[stage].tables]
        return {name: str(IcebergCatalogHook().table(name).metadata.table_uuid) for name in names}

    return identities


def reasons() -> Counter[str]:
    rejected = IcebergCatalogHook().table("silver.rejected_trips").scan(selected_fields=("reason",)).to_arrow()
    return Counter(rejected["reason"].to_pylist())


def test_a_dry_run_returns_the_plan_and_changes_nothing(main_job, replay, identities, trips_arrive):
    trips_arrive(seed=941)
    before, ledger = identities("bronze", "silver", "live"), main_job.ledger()

    plan = replay(from_stage="nyc_taxi.bronze")

    assert (plan["read_again"], plan["kept"]) == (ledger.events, 0)
    assert plan["rows_now"]["silver.cleaned_trips"] == ledger.rows("silver.cleaned_trips")
    assert identities("bronze", "silver", "live") == before
    assert main_job.ledger() == ledger


def test_new_rules_are_applied_to_old_trips_and_gold_follows(main_job, replay, identities, any_pickup, trips_arrive):
    old, ledger, rejected = identities("silver", "live"), main_job.ledger(), reasons()
    assert rejected[OUTSIDE] > 0

    replay(from_stage="nyc_taxi.silver", dry_run=False)

    assert not set(identities("silver", "live").values()) & set(old.values())
    assert reasons()[OUTSIDE] < rejected[OUTSIDE]  # some of the bad events are of years outside any window
    now = main_job.ledger_at_rest()
    cleaned = now.rows("silver.cleaned_trips")
    assert now.rows("bronze.raw_trips") == ledger.rows("bronze.raw_trips")
    assert sum(now["silver"].rows.values()) == now.rows("bronze.raw_trips")
    assert cleaned > ledger.rows("silver.cleaned_trips")
    main_job.wait(lambda: count_fact(main_job.pipeline) == cleaned, "Gold to follow", LIMIT_S)
    replaced = IcebergCatalogHook().table("silver_before_replay.cleaned_trips")
    assert str(replaced.metadata.table_uuid) == old["silver.cleaned_trips"]


def test_kafka_is_read_again_from_a_given_offset_on(main_job, replay, identities, trips_arrive):
    main_job.wait(main_job.ledger_at_rest, "rest", LIMIT_S)
    old, ledger = identities("bronze", "silver", "live"), main_job.ledger()
    ends = TopicHook(main_job.topic).end_offsets()
    start = {partition: end // 2 for partition, end in ends.items()}

    plan = replay(
        from_stage="nyc_taxi.bronze",
        dry_run=False,
        from_offsets=",".join(f"{partition}:{offset}" for partition, offset in start.items()),
    )

    assert plan["kept"] == sum(start.values())
    assert not set(identities("bronze", "silver", "live").values()) & set(old.values())
    now = main_job.wait(main_job.ledger_at_rest, "rest", LIMIT_S)
    assert now["bronze"].partitions == ledger["bronze"].partitions
    assert reasons()[OUTSIDE] > 0  # the previous test had accepted them; these are the current rules
    trips_arrive(seed=942)
