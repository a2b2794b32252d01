"""
# Taxi trip generator

Sends trips to the topic of the pipeline `nyc_taxi`, on demand: **Trigger** opens a form.

| param | means |
|---|---|
| `events` | how many trips; with a `source` file, at most this many of its rows (empty: all) |
| `mode` | `burst`: as fast as possible; `batch`: in batches; `realtime`: one by one, evenly paced |
| `rate` | events per second for `batch` and `realtime` |
| `seed` | the same seed gives the same trips |
| `source` | a TLC yellow-taxi file (Parquet or CSV, any year) on the worker, instead of synthetic trips |
| `where` | `worker`: in the task's own process; `container`: in a container of its own, if Airflow can use Docker |

| task | does |
|---|---|
| `choose` | picks the task that `where` asks for; the other one is skipped |
| `generate` | sends the trips from the worker |
| `generate_in_container` | sends the trips from a container, which ends with the task |

Both return how many events were delivered, and what Silver must make of them given the pipeline's parameters; `reasons` lists the
rejected trips by reason.

**When it is red**: the log counts what was and was not delivered. It is safe to run it again with the same seed or file,
because Silver drops duplicates.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from lakehouse.airflow.dag_policy import LONG_POOL, Tag, dag_args, default_args
from taxi_generator import EVENTS, MODES, SEED
from taxi_generator.operator import GeneratorContainerOperator

#: Value of the form -> task that sends the trips.
WHERE = {"worker": "generate", "container": "generate_in_container"}
LIMIT = timedelta(hours=6)

with DAG(
    "taxi_trip_generator",
    schedule=None,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    # No automatic retry: it would send the first try's events again.
    default_args=default_args(retries=0),
    params={
        "events": Param(EVENTS, type=["null", "integer"], minimum=1, description="How many trips"),
        "mode": Param(MODES[0], enum=[*MODES], description="How they are paced"),
        "rate": Param(
            None, type=["null", "number"], exclusiveMinimum=0, description="Events per second (batch, realtime)"
        ),
        "seed": Param(SEED, type="integer", minimum=0, description="Seed of synthetic trips"),
        "source": Param(None, type=["null", "string"], description="A TLC file instead of synthetic trips"),
        "where": Param("worker", enum=[*WHERE], description="Where the generator runs"),
    },
    **dag_args(__doc__, Tag.GENERATOR),
):

    @task.branch
    def choose() -> str:
        """Choose the task that sends the trips."""
        return WHERE[get_current_context()["params"]["where"]]

    @task(pool=LONG_POOL, execution_timeout=LIMIT)
    def generate() -> dict[str, Any]:
        """Send the trips that the form requests, and return the generator's summary."""
        import taxi_generator as generator
        from lakehouse.airflow.connections import get_connection

        params = {name: value for name, value in get_current_context()["params"].items() if name != "where"}
        registry = get_connection("schema_registry")
        return generator.run(
            get_connection("kafka_default").extra_dejson,
            registry=registry.host,
            registry_ca_file=registry.extra_dejson.get("verify"),
            log=print,
            **params,
        )

    choose() >> [
        generate(),
        GeneratorContainerOperator(task_id="generate_in_container", pool=LONG_POOL, execution_timeout=LIMIT),
    ]
