"""
# Taxi trip generator

Sends trips to Kafka, by hand: **Trigger** shows a form.

| param | means |
|---|---|
| `events` | how many trips; with a `source` file, at most so many of its rows (nothing: all of them) |
| `mode` | `burst` as fast as possible; `batch` in portions; `realtime` one by one at an even pace |
| `rate` | events per second of `batch` and `realtime` |
| `seed` | the same seed gives the same trips; a new one gives fresh trips |
| `source` | a TLC yellow-taxi file (Parquet or CSV, any year) on the worker instead of synthetic trips |

What `generate` returns counts what was delivered, and what Silver must make of it.

**When it is red**: the log counts what was and was not delivered. A new run with the same seed or file is harmless, because
Silver drops duplicates.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param, Variable, get_current_context, task

from lakehouse.dag_policy import Tag, dag_args, default_args
from lakehouse.generator import EVENTS, MODES, SEED

with DAG(
    "taxi_trip_generator",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    # No retry by itself: a second try would send the first try's events again.
    default_args=default_args(retries=0, execution_timeout=timedelta(hours=6)),
    params={
        "events": Param(EVENTS, type=["null", "integer"], minimum=1, description="How many trips"),
        "mode": Param(MODES[0], enum=[*MODES], description="How they are paced"),
        "rate": Param(
            None, type=["null", "number"], exclusiveMinimum=0, description="Events per second (batch, realtime)"
        ),
        "seed": Param(SEED, type="integer", minimum=0, description="Of synthetic trips"),
        "source": Param(None, type=["null", "string"], description="A TLC file instead of synthetic trips"),
    },
    **dag_args(__doc__, Tag.GENERATOR),
):

    @task
    def generate() -> dict:
        """Produce the trips that the form asks for, and return the generator's summary."""
        from airflow.sdk import BaseHook

        from lakehouse import generator

        registry = BaseHook.get_connection("schema_registry")
        return generator.run(
            BaseHook.get_connection("kafka_default").extra_dejson,
            registry=registry.host,
            registry_ca_file=registry.extra_dejson.get("verify"),
            topic=Variable.get("taxi_topic"),
            pickup_from=datetime.fromisoformat(Variable.get("pickup_from")),
            pickup_to=datetime.fromisoformat(Variable.get("pickup_to")),
            log=print,
            **get_current_context()["params"],
        )

    generate()
