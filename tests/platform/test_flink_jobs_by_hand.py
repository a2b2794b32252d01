"""What a person may ask of `flink_jobs`: suspend and resume, a restart from a path, a start from the table's own offsets."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.waiting import wait_until
from local.main_job import MainJob

LIMIT_S = 120
pytestmark = pytest.mark.usefixtures("nobody_mends_it")


@pytest.fixture
def cancel() -> Callable[[], None]:
    """End Bronze as an accident does."""
    flink = FlinkRestHook()

    def cancel() -> None:
        flink.cancel(flink.live_run("bronze").job_id)
        wait_until(lambda: flink.live_run("bronze") is None, "the job to be cancelled", LIMIT_S)

    return cancel


@pytest.fixture
def await_sent(main_job: MainJob) -> Callable[[str], None]:
    """See a run of the generator to its end."""

    def await_sent(run: str) -> None:
        main_job.wait(lambda: main_job.api.state("taxi_trip_generator", run) == "success", "trips to be sent", LIMIT_S)

    return await_sent


def test_a_suspended_job_stays_so_until_it_is_resumed(main_job, deploy, await_sent, trips_arrive):
    flink = FlinkRestHook()
    deploy("bronze", action="suspend")
    assert flink.live_run("bronze") is None
    sent = main_job.api.trigger("taxi_trip_generator", {"events": 500, "seed": 311})

    deploy("bronze")

    assert flink.live_run("bronze") is None
    await_sent(sent)
    deploy("bronze", action="resume")
    restored = flink.checkpoints(flink.live_run("bronze").job_id)["latest"]["restored"]
    assert "/savepoints/bronze/savepoint-" in restored["external_path"]
    trips_arrive(seed=312)


def test_a_path_older_than_the_tables_is_refused(platform, deploy, trips_arrive):
    deploy("bronze", action="savepoint")
    savepoints = (platform.home / "flink/savepoints/bronze").iterdir()
    path = f"file://{max(savepoints, key=lambda folder: folder.stat().st_mtime)}"
    trips_arrive(seed=313)
    before = FlinkRestHook().live_run("bronze")

    said = deploy("bronze", fails=True, action="restart", state_path=path)

    assert "it would double rows, because bronze.raw_trips holds everything up to checkpoint" in said
    assert FlinkRestHook().live_run("bronze") == before


def test_bronze_without_its_state_goes_on_after_its_last_row(
    platform, main_job, deploy, cancel, await_sent, trips_arrive
):
    """It is cancelled in the middle of a stream. Silver, which reads Bronze, follows."""
    before = main_job.ledger().bronze
    sent = main_job.api.trigger("taxi_trip_generator", {"events": 3_000, "mode": "realtime", "rate": 300, "seed": 314})
    main_job.wait(lambda: main_job.ledger().bronze > before, "trips to reach Bronze", LIMIT_S)
    cancel()
    for kind in ("checkpoints", "savepoints"):
        shutil.rmtree(platform.home / "flink" / kind / "bronze", ignore_errors=True)

    said = deploy("bronze", fails=True)
    assert "Flink job bronze is not started" in said
    assert "start_after_last_row" in said

    deploy("bronze", action="start_after_last_row")
    wait_until(lambda: list((platform.home / "flink/checkpoints/bronze").glob("*/chk-*/_metadata")), "a state", LIMIT_S)
    cancel()
    await_sent(sent)
    deploy("bronze")  # its own first state serves, though the tables were last written by the job before
    trips_arrive(seed=315)
