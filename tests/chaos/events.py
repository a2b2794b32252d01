"""Faults of producers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import orjson
from airflow.sdk import BaseHook
from confluent_kafka import Producer

from chaos.stage import Stage
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.waiting import wait_until
from taxi_generator import expected_result

BACKWARDS, STEP_S = 5_000, 60
BATCH, BATCH_RATE = 20_000, 4_000
LIMIT_S = 120


def backwards(stage: Stage) -> None:
    """Send events with decreasing times, a minute apart, in Kafka's records (from an hour ahead) and in the trips."""
    producer = Producer({**BaseHook.get_connection("kafka_default").extra_dejson, "enable.idempotence": True})
    now = time.time()
    for step in range(BACKWARDS):
        pickup = time.gmtime(1706745540 - step * STEP_S)  # from the end of January 2024
        trip = {
            "VendorID": 1,
            "tpep_pickup_datetime": time.strftime("%Y-%m-%dT%H:%M:%S", pickup),
            "tpep_dropoff_datetime": time.strftime("%Y-%m-%dT%H:%M:%S", pickup),
            "trip_distance": 1.5,
            "PULocationID": 1 + step % 200,
            "fare_amount": 10.0,
            "total_amount": 12.5,
        }
        at_ms = int((now + 3_000 - step * STEP_S) * 1000)
        producer.produce(stage.job.topic, orjson.dumps(trip), str(trip["PULocationID"]), timestamp=at_ms)
        producer.poll(0)
    if left := producer.flush(30):
        raise TimeoutError(f"{left} events were not delivered")


def sent_again(_: Stage) -> None:
    """The generator is killed in the middle of a batch, and the same trips are sent again: each must be in Silver once."""
    seed = int(time.time())
    command = [sys.executable, "-m", "taxi_generator", "--registry", "none", "--events", str(BATCH)]
    command += ["--seed", str(seed), "--mode", "realtime", "--rate", str(BATCH_RATE)]
    first = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        next(line for line in first.stderr if "events delivered" in line)
    finally:
        first.kill()
        first.wait()
    subprocess.run(command, env=os.environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder, "keys.parquet")
        expected_result(keys, events=BATCH, seed=seed)
        wait_until(lambda: _missing(keys) == 0, f"the {BATCH:,} trips sent again to be in Silver", LIMIT_S)


def _missing(keys: Path) -> int:
    """Number of trips in the file that are not in Silver exactly once."""
    silver = IcebergCatalogHook().table("silver.cleaned_trips").scan(selected_fields=("trip_id",)).to_arrow()
    with duckdb.connect() as db:
        db.register("silver", silver)
        query = (
            "SELECT count(*) FROM (SELECT DISTINCT trip_id FROM read_parquet(?)) due "
            "LEFT JOIN (SELECT trip_id, count(*) AS times FROM silver GROUP BY ALL) USING (trip_id) "
            "WHERE times IS DISTINCT FROM 1"
        )
        return db.execute(query, [str(keys)]).fetchone()[0]
