"""The main job through Airflow, from the first event to Gold, compared with known counts."""

from __future__ import annotations

from collections import Counter

import duckdb

from demo.main_job import Trips
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.gold.file import published_file


def reasons() -> Counter[str]:
    """Rows of `silver.rejected_trips` by reason."""
    rejected = IcebergCatalogHook().table("silver.rejected_trips").scan(selected_fields=("reason",)).to_arrow()
    return Counter(rejected["reason"].to_pylist())


def test_the_default_trips(main_job):
    outcome = main_job.run(Trips(events=10_000, seed=1))

    assert outcome.ledger_balanced
    assert outcome.right
    new = {"kafka": 10_000, "bronze": 10_000, "rejected_events": 0, "silver": 9_855, "rejected_trips": 145}
    # Which trips are late depends on the order in which Silver reads Bronze's files.
    assert outcome.rows.pop("counted_trips") + outcome.rows.pop("late_trips") == 9_855
    assert outcome.rows == outcome.expected
    assert outcome.rows == new | {"fct_trips": 9_855, "mart_daily_revenue": 31, "mart_hourly_demand": 744}
    assert set(outcome.phases_s) == {"produce", "bronze", "silver", "live", "gold", "end_to_end"}
    assert reasons() == {"fare_amount is negative": 135, "tpep_pickup_datetime is outside the window": 10}


def test_the_same_trips_again_are_duplicates(main_job):
    outcome = main_job.run(Trips(events=10_000, seed=1))

    assert outcome.right
    assert (outcome.rows["kafka"], outcome.rows["bronze"], outcome.rows["fct_trips"]) == (20_000, 20_000, 9_855)


def test_real_trips_on_a_running_platform(main_job, real_file):
    before = reasons()

    outcome = main_job.run(Trips(source=str(real_file)))

    assert outcome.right
    assert outcome.rows["bronze"] == 30_000
    assert outcome.rows["silver"] == outcome.rows["fct_trips"] == 2 * 9_855
    assert reasons() - before == {"fare_amount is negative": 135, "tpep_pickup_datetime is outside the window": 10}
    with duckdb.connect(str(published_file(main_job.pipeline)), read_only=True) as gold:
        real = "trip_id IN (SELECT trip_id FROM fct_trips ORDER BY processed_at DESC LIMIT 9855)"
        days, hours = gold.sql(
            f"SELECT count(DISTINCT pickup_date), count(DISTINCT pickup_hour) FROM fct_trips WHERE {real}"
        ).fetchone()
    assert (days, hours) == (1, 3)
