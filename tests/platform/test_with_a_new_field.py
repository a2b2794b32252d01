"""A new nullable field is added from the contract to Gold while everything runs; any other change of the contract is refused.

The platform keeps the field, so these are the last tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from airflow.sdk import BaseHook
from confluent_kafka import Producer

from demo.main_job import MainJob, Trips
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.airflow.hooks.registry import SchemaRegistryHook
from lakehouse.gold.file import published_file
from tests.corpus.events import trip
from tests.new_field import FIELD, add_to_contract, add_to_gold, change_contract

LIMIT_S = 180
JOBS = ("nyc_taxi.bronze", "nyc_taxi.silver")
BRONZE, SILVER, REJECTED = "bronze.raw_trips", "silver.cleaned_trips", "silver.rejected_trips"
# The last one violates the rule of the new field.
NEW_TRIPS = (trip(), trip(**{FIELD: "0.75"}), trip(**{FIELD: "null"}), trip(**{FIELD: '"much"'}))


@pytest.fixture
def include(checkout: Path) -> Path:
    return checkout / "include"


@pytest.fixture
def kept(include: Path) -> Iterator[None]:
    """Undo a test's changes of the contract."""
    file = include / "contracts" / "nyc_taxi.json"
    text = file.read_text()
    yield
    file.write_text(text)


@pytest.fixture
def refused(shell: Callable) -> Callable[[str], str]:
    """Run a task of `flink_jobs` that must fail, and return its output."""

    def refused(task: str) -> str:
        run = shell("airflow", "tasks", "test", "flink_jobs", f"nyc_taxi.{task}")
        output = run.stdout + run.stderr
        assert "new_state=success" not in output, output  # its exit code is 0 either way
        return output

    return refused


def rows(table: str, *columns: str, where: str) -> dict[int, tuple]:
    """Offset -> these columns."""
    found = IcebergCatalogHook().table(table).scan(where, selected_fields=("kafka_offset", *columns)).to_arrow()
    return {row["kafka_offset"]: tuple(row[name] for name in columns) for row in found.to_pylist()}


def send(topic: str, events: tuple[bytes, ...]) -> list[int]:
    """Send events to partition 0; return their offsets."""
    producer = Producer(BaseHook.get_connection("kafka_default").extra_dejson)
    offsets: list[int] = []
    for event in events:
        producer.produce(topic, event, partition=0, on_delivery=lambda _, message: offsets.append(message.offset()))
    assert producer.flush(60) == 0
    return offsets


def registered(main_job: MainJob) -> dict:
    """The newest contract of the topic."""
    with SchemaRegistryHook().registry._client("gives no contract") as registry:
        return json.loads(registry.get_latest_version(f"{main_job.topic}-value").schema.schema_str)


def test_a_new_field_arrives_in_all_layers(main_job: MainJob, include: Path, shell):
    flink = FlinkRestHook()
    main_job.send(Trips(events=500, seed=951))
    main_job.build()
    old_jobs = {job: flink.live_run(job) for job in JOBS}
    old_rows = {name: row_count(IcebergCatalogHook().table(name)) for name in (BRONZE, SILVER)}

    main_job.at_rest("flink_jobs", LIMIT_S)
    add_to_contract(include)
    add_to_gold(include / "dbt")
    main_job.deploy()

    assert FIELD in registered(main_job)["properties"]
    for job, old in old_jobs.items():
        new = flink.live_run(job)
        assert new.job_id != old.job_id
        restored = flink.checkpoints(new.job_id)["latest"]["restored"]
        assert restored["is_savepoint"]
        assert f"/savepoints/{job}/savepoint-{old.job_id[:6]}-" in restored["external_path"]

    without, fee, null, broken = offsets = send(main_job.topic, NEW_TRIPS)
    main_job.wait(main_job.ledger_at_rest, "the trips to arrive", LIMIT_S)
    main_job.build()

    new = f"kafka_partition = 0 AND kafka_offset >= {offsets[0]}"
    assert rows(BRONZE, FIELD, where=new) == {without: (None,), fee: ("0.75",), null: (None,), broken: ("much",)}
    assert rows(SILVER, FIELD, where=new) == {without: (None,), fee: (Decimal("0.75"),), null: (None,)}
    reason = f"{FIELD} does not fit DECIMAL(10,2)"
    assert rows(REJECTED, FIELD, "reason", where=new) == {broken: ("much", reason)}
    now = {name: row_count(IcebergCatalogHook().table(name)) for name in (BRONZE, SILVER)}
    assert now == {BRONZE: old_rows[BRONZE] + 4, SILVER: old_rows[SILVER] + 3}
    assert len(rows(SILVER, FIELD, where=f"{FIELD} IS NOT NULL")) == 1
    with duckdb.connect(str(published_file(main_job.pipeline)), read_only=True) as gold:
        held = gold.execute(f"SELECT {FIELD}, count(*) FROM fct_trips GROUP BY 1 ORDER BY 1 NULLS LAST").fetchall()
    assert held == [(Decimal("0.75"), 1), (None, now[SILVER] - 1)]
    assert main_job.count()[1]
    audit = shell("python", "-m", "lakehouse", "audit", "--at-rest")
    assert audit.returncode == 0, audit.stdout


def test_new_trips_arrive(trips_arrive):
    trips_arrive(seed=952)


def test_a_contract_that_breaks_its_readers_is_refused(include: Path, kept, refused):
    change_contract(include, {"tip_amount": {"type": ["string", "null"]}})

    output = refused("register_contract")

    assert "Incompatible artifact" in output
    assert "/properties/tip_amount" in output


def test_a_changed_type_or_a_removed_field_is_refused(include: Path, kept, refused):
    nullable = {"type": ["number", "null"]}
    change_contract(include, {"tip_amount": {**nullable, "x-column": "tip"}, "extra": {**nullable, "x-type": "DOUBLE"}})
    before = IcebergCatalogHook().table(SILVER).schema()

    output = refused("create_tables")

    assert f"{SILVER}.tip_amount is no longer declared" in output
    assert f"{SILVER}.extra is DECIMAL(10, 2), but declared DOUBLE" in output
    assert IcebergCatalogHook().table(SILVER).schema() == before
