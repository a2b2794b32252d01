"""A failing model or data test: the failed task, what readers see, the alert, and recovery by clearing one task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.main_job import MainJob, Trips
from lakehouse.gold.file import published_file

LIMIT_S = 240
ALONE_FOR = timedelta(seconds=90)
DAG = "nyc_taxi_pipeline"
MART = "models/nyc_taxi/marts/daily/mart_daily_revenue.sql"


@pytest.fixture
def model(checkout: Path):
    """The file of a mart, which is restored after the test."""
    file = checkout / "include" / "dbt" / MART
    good = file.read_text()
    yield file
    file.write_text(good)


def published(job: MainJob) -> tuple[int, int] | None:
    """Identity of the published file, which changes with each publication; None before the first."""
    if not published_file(job.pipeline).exists():
        return None
    status = published_file(job.pipeline).stat()
    return status.st_ino, status.st_mtime_ns


def await_quiet(job: MainJob) -> None:
    """Wait until the schedule leaves time for a test: a scheduled run would publish, or fail first and send the alert."""

    def quiet() -> bool:
        scheduled = datetime.fromisoformat(job.api.call("GET", f"dags/{DAG}")["next_dagrun_run_after"])
        return job.api.active_run(DAG) is None and scheduled - datetime.now(UTC) > ALONE_FOR

    job.wait(quiet, f"{DAG} to be idle", LIMIT_S)


def run_to_the_end(job: MainJob) -> tuple[str, dict[str, str]]:
    run = job.api.trigger(DAG, {})
    job.wait(lambda: job.api.state(DAG, run) in ("success", "failed"), "the run to end", LIMIT_S)
    return run, states(job, run)


def states(job: MainJob, run: str) -> dict[str, str]:
    return {task_id: task["state"] for task_id, task in job.api.tasks(DAG, run).items()}


@pytest.mark.parametrize(
    ("find", "replace", "output", "seed"),
    [
        ("trip_count,", "no_such_column as trip_count,", "no_such_column", 501),
        ("trip_count,", "trip_count + 1 as trip_count,", "mart_daily_revenue_covers_every_trip", 502),
    ],
    ids=["model", "test"],
)
def test_clearing_one_task_recovers(main_job, receiver, model, find, replace, output, seed):
    good = model.read_text()
    assert find in good
    await_quiet(main_job)
    main_job.send(Trips(events=1_000, seed=seed))  # new trips, so that the mart has changed days
    before = published(main_job)
    receiver.messages.clear()
    model.write_text(good.replace(find, replace, 1))

    run, state = run_to_the_end(main_job)

    failed = {name for name, found in state.items() if found == "failed"}
    assert failed == {"gold.dbt_build", "gold.mart_daily_revenue"}
    assert state["gold.fct_trips"] == state["gold.mart_hourly_demand"] == "success"
    assert state["publish"] == "upstream_failed"
    assert published(main_job) == before
    message = receiver.await_message(DAG, "gold.dbt_build", run, output)
    assert "/dags/nyc_taxi_pipeline/runs/" in message["message"]

    model.write_text(good)
    main_job.api.clear(DAG, run, "prepare", downstream=True)
    main_job.wait(lambda: main_job.api.state(DAG, run) in ("success", "failed"), "the cleared run to end", LIMIT_S)

    left = {name: found for name, found in states(main_job, run).items() if found != "success"}
    assert left == {"alert_flink_down": "skipped"}
    assert published(main_job) != before
    assert main_job.count()[0]["fct_trips"] == main_job.ledger().rows("silver.cleaned_trips")
