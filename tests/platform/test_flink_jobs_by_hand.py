"""Manual actions of `flink_jobs`: suspend and resume, a restart from a path, a start after the table's last row."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from demo.main_job import MainJob
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.waiting import wait_until

LIMIT_S = 120
pytestmark = pytest.mark.usefixtures("flink_jobs_paused")


@pytest.fixture
def cancel() -> Callable[[], None]:
    """Cancel Bronze, as by accident."""
    flink = FlinkRestHook()

    def cancel() -> None:
        flink.cancel(flink.live_run("nyc_taxi.bronze").job_id)
        wait_until(lambda: flink.live_run("nyc_taxi.bronze") is None, "the job to be cancelled", LIMIT_S)

    return cancel


@pytest.fixture
def await_sent(main_job: MainJob) -> Callable[[str], None]:
    """Wait for the end of a run of the generator."""

    def await_sent(run: str) -> None:
        main_job.wait(lambda: main_job.api.state("taxi_trip_generator", run) == "success", "trips to be sent", LIMIT_S)

    return await_sent


def test_a_suspended_job_stays_suspended_until_it_is_resumed(main_job, deploy, await_sent, trips_arrive):
    flink = FlinkRestHook()
    deploy("nyc_taxi.bronze", action="suspend")
    assert flink.live_run("nyc_taxi.bronze") is None
    sent = main_job.api.trigger("taxi_trip_generator", {"events": 500, "seed": 311})

    deploy("nyc_taxi.bronze")

    assert flink.live_run("nyc_taxi.bronze") is None
    await_sent(sent)
    deploy("nyc_taxi.bronze", action="resume")
    restored = flink.checkpoints(flink.live_run("nyc_taxi.bronze").job_id)["latest"]["restored"]
    assert "/savepoints/nyc_taxi.bronze/savepoint-" in restored["external_path"]
    trips_arrive(seed=312)


def test_a_path_older_than_the_tables_is_refused(platform, deploy, trips_arrive):
    deploy("nyc_taxi.bronze", action="savepoint")
    savepoints = (platform.home / "flink/savepoints/nyc_taxi.bronze").iterdir()
    path = f"file://{max(savepoints, key=lambda folder: folder.stat().st_mtime)}"
    trips_arrive(seed=313)
    before = FlinkRestHook().live_run("nyc_taxi.bronze")

    output = deploy("nyc_taxi.bronze", fails=True, action="restart", state_path=path)

    assert "that would duplicate rows, because bronze.raw_trips contains everything up to checkpoint" in output
    assert FlinkRestHook().live_run("nyc_taxi.bronze") == before


def test_bronze_without_state_continues_after_its_last_row(
    platform, main_job, deploy, cancel, await_sent, trips_arrive
):
    """It is cancelled during ingestion. Silver, which reads Bronze, continues."""
    before = main_job.ledger().rows("bronze.raw_trips")
    sent = main_job.api.trigger("taxi_trip_generator", {"events": 3_000, "mode": "realtime", "rate": 300, "seed": 314})
    main_job.wait(lambda: main_job.ledger().rows("bronze.raw_trips") > before, "trips to reach Bronze", LIMIT_S)
    cancel()
    for kind in ("checkpoints", "savepoints"):
        shutil.rmtree(platform.home / "flink" / kind / "nyc_taxi.bronze", ignore_errors=True)

    output = deploy("nyc_taxi.bronze", fails=True)
    assert "Flink job nyc_taxi.bronze is not started" in output
    assert "start_after_last_row" in output

    deploy("nyc_taxi.bronze", action="start_after_last_row")
    wait_until(
        lambda: list((platform.home / "flink/checkpoints/nyc_taxi.bronze").glob("*/chk-*/_metadata")),
        "a state",
        LIMIT_S,
    )
    cancel()
    await_sent(sent)
    deploy("nyc_taxi.bronze")  # its own first state is used, although the tables were last written by the previous job
    trips_arrive(seed=315)
