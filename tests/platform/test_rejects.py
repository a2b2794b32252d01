"""A rejected event is shown, fixed in a file, and replayed once by a command and by the DAG; the ledger stays balanced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.sdk import BaseHook
from confluent_kafka import Producer

from demo.main_job import MainJob
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.quality.rejects.read import Reject, open_rejects
from tests.corpus.events import NEGATIVE_FARE, NOT_JSON, trip

ARRIVE_LIMIT_S = 120
CUT, NEGATIVE = trip()[:-1], trip(fare_amount="-20")


@pytest.fixture(scope="module")
def rejected(main_job: MainJob) -> dict[str, Reject]:
    """A truncated payload, and a trip with a negative fare, as rejected by the stages."""
    producer = Producer(BaseHook.get_connection("kafka_default").extra_dejson)
    for value in (CUT, NEGATIVE):
        producer.produce(main_job.topic, value, b"132")
    assert producer.flush(60) == 0
    main_job.wait(main_job.ledger_at_rest, "two events to be rejected", ARRIVE_LIMIT_S)
    [cut] = [reject for reject in open_rejects(main_job.pipeline, "bronze", NOT_JSON) if reject.payload == CUT]
    zone = json.loads(NEGATIVE)["DOLocationID"]
    [negative] = [
        r
        for r in open_rejects(main_job.pipeline, "silver", NEGATIVE_FARE)
        if json.loads(r.payload)["DOLocationID"] == zone
    ]
    return {"cut": cut, "negative": negative}


def _trips_from(main_job: MainJob, positions: set[str]) -> list[dict]:
    """Silver's trips that correct the events at these positions."""
    main_job.wait(main_job.ledger_at_rest, "the fixed events to arrive", ARRIVE_LIMIT_S)
    catalog = IcebergCatalogHook()
    mending = catalog.table("bronze.raw_trips").scan("mends IS NOT NULL").to_arrow().to_pylist()
    at = {(row["kafka_partition"], row["kafka_offset"]) for row in mending if row["mends"] in positions}
    trips = catalog.table("silver.cleaned_trips").scan().to_arrow().to_pylist()
    return [row for row in trips if (row["kafka_partition"], row["kafka_offset"]) in at]


def test_fixed_manually_and_replayed_by_a_command(main_job, rejected, shell, tmp_path):
    file = tmp_path / "fix.jsonl"
    shown = shell(
        "python", "-m", "lakehouse", "rejects", "--stage", "bronze", "--reason", NOT_JSON, "--file", str(file)
    )
    assert shown.returncode == 0, shown.stderr
    lines = {line["position"]: line for line in map(json.loads, file.read_text().splitlines())}
    cut = lines[rejected["cut"].position]
    cut["payload"] += "}"
    file.write_text(json.dumps(cut))

    replays = [shell("python", "-m", "lakehouse", "rejects-replay", "--file", str(file)) for _ in range(2)]

    assert [run.returncode for run in replays] == [0, 0], replays
    assert replays[0].stdout.splitlines()[-1] == "1 events were sent, 0 had been sent before"
    assert replays[1].stdout.splitlines()[-1] == "0 events were sent, 1 had been sent before"
    [arrived] = _trips_from(main_job, {rejected["cut"].position})
    assert arrived["fare_amount"] == 20
    assert rejected["cut"].position not in {
        reject.position for reject in open_rejects(main_job.pipeline, "bronze", NOT_JSON)
    }
    assert main_job.ledger().balanced


def test_fixed_manually_and_replayed_by_the_dag(main_job, rejected, checkout):
    """Run by the platform's scheduler; a second run sends nothing."""
    file = Path(checkout, "fix-dag.jsonl")
    event = json.loads(rejected["negative"].payload) | {"fare_amount": 20}
    file.write_text(json.dumps({"position": rejected["negative"].position, "payload": event}))
    returned = []
    for _ in range(2):
        run = main_job.api.trigger("rejects_replay", {"file": str(file)})
        main_job.wait(lambda: main_job.api.state("rejects_replay", run) == "success", "the replay", ARRIVE_LIMIT_S)  # noqa: B023
        returned.append(main_job.api.returned("rejects_replay", run, "replay"))

    assert returned == [{"sent": 1, "sent_before": 0}, {"sent": 0, "sent_before": 1}]
    [arrived] = _trips_from(main_job, {rejected["negative"].position})
    assert arrived["fare_amount"] == 20
    assert main_job.ledger().balanced
