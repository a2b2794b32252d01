"""`taxi_replay`: tables built anew beside the live ones, switched in one step, and Gold after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.gold.file import count_trips, published_file
from lakehouse.replay.switch import aside
from lakehouse.streaming.declared import JOBS
from local.main_job import MainJob

LIMIT_S = 600
OUTSIDE = "tpep_pickup_datetime is outside the window"


@pytest.fixture
def replay(main_job: MainJob) -> Callable[..., dict]:
    """Run `taxi_replay` with this form, and return its plan."""

    def replay(**form: object) -> dict:
        run_id = main_job.api.trigger("taxi_replay", form)
        main_job.wait(lambda: main_job.api.state("taxi_replay", run_id) in ("success", "failed"), "the replay", LIMIT_S)
        assert main_job.api.state("taxi_replay", run_id) == "success", main_job.api.describe_failure(
            "taxi_replay", run_id
        )
        return main_job.api.returned("taxi_replay", run_id, "plan")

    return replay


@pytest.fixture
def any_pickup(main_job: MainJob) -> Iterator[None]:
    """Silver takes trips of any year that a taxi meter shows, until the end of the test."""
    window = {"pickup_from": "1990-01-01 00:00:00", "pickup_to": "2100-01-01 00:00:00"}
    before = {name: main_job.api.variable(name) for name in window}

    def change(values: dict[str, str]) -> None:
        for name, value in values.items():
            main_job.api.set_variable(name, value)
        main_job.deploy()

    change(window)
    yield
    change(before)


def identities(*layers: str) -> dict[str, str]:
    """Table -> UUID."""
    names = [name for layer in layers for name in JOBS[layer].tables]
    return {name: str(IcebergCatalogHook().table(name).metadata.table_uuid) for name in names}


def reasons() -> Counter[str]:
    rejected = IcebergCatalogHook().table("silver.rejected_trips").scan(selected_fields=("reason",)).to_arrow()
    return Counter(rejected["reason"].to_pylist())


def test_a_dry_run_says_what_would_happen_and_changes_nothing(main_job, replay, trips_arrive):
    trips_arrive(seed=941)
    before, ledger = identities("bronze", "silver"), main_job.ledger()

    plan = replay(target="bronze_and_silver")

    assert (plan["read_again"], plan["kept"]) == (ledger.kafka, 0)
    assert plan["rows_now"]["silver.cleaned_trips"] == ledger.silver
    assert identities("bronze", "silver") == before
    assert main_job.ledger() == ledger


def test_old_trips_are_judged_by_new_rules_and_gold_follows(main_job, replay, any_pickup, trips_arrive):
    old, ledger, rejected = identities("silver"), main_job.ledger(), reasons()
    assert rejected[OUTSIDE] > 0

    replay(target="silver", dry_run=False)

    assert not set(identities("silver").values()) & set(old.values())
    assert reasons()[OUTSIDE] < rejected[OUTSIDE]  # some of the bad events are of years that no window takes
    now = main_job.ledger_at_rest()
    assert now.bronze == ledger.bronze
    assert now.silver + now.rejected_trips + now.duplicates == now.bronze
    assert now.silver > ledger.silver
    main_job.wait(lambda: count_trips(published_file()) == now.silver, "Gold to follow", LIMIT_S)
    aside_rows = IcebergCatalogHook().table(f"{aside('silver')}.cleaned_trips")
    assert str(aside_rows.metadata.table_uuid) == old["silver.cleaned_trips"]


def test_kafka_is_read_again_from_where_it_is_told(main_job, replay, trips_arrive):
    main_job.wait(main_job.ledger_at_rest, "rest", LIMIT_S)
    old, ledger = identities("bronze", "silver"), main_job.ledger()
    ends = TopicHook(main_job.topic).end_offsets()
    start = {partition: end // 2 for partition, end in ends.items()}

    plan = replay(
        target="bronze_and_silver",
        dry_run=False,
        from_offsets=",".join(f"{partition}:{offset}" for partition, offset in start.items()),
    )

    assert plan["kept"] == sum(start.values())
    assert not set(identities("bronze", "silver").values()) & set(old.values())
    now = main_job.wait(main_job.ledger_at_rest, "rest", LIMIT_S)
    assert now.partitions == ledger.partitions
    assert reasons()[OUTSIDE] > 0  # the test before had let them in; these are the rules of now
    trips_arrive(seed=942)
