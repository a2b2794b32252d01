"""A streaming job that is away: the pipeline goes the other way, people are told, and nothing is lost meanwhile."""

from __future__ import annotations

from lakehouse.gold_file import published_file
from lakehouse.hooks.flink import FlinkRestHook
from lakehouse.waiting import wait_until

LIMIT_S = 120
DAG = "nyc_taxi_pipeline"


def test_the_pipeline_alerts(main_job, receiver, nobody_mends_it):
    before = published_file().stat().st_mtime_ns
    flink = FlinkRestHook()
    flink.call("PATCH", f"jobs/{flink.live_run('silver').job_id}?mode=cancel")
    wait_until(lambda: flink.live_run("silver") is None, "the job to be cancelled", LIMIT_S)
    receiver.messages.clear()

    run = main_job.api.trigger(DAG, {})
    main_job.wait(lambda: main_job.api.state(DAG, run) in ("success", "failed"), "the run to end", LIMIT_S)

    states = {name: task["state"] for name, task in main_job.api.tasks(DAG, run).items()}
    assert states.pop("check_flink_health") == states.pop("alert_flink_down") == "success"
    assert set(states.values()) == {"skipped"}
    assert published_file().stat().st_mtime_ns == before
    receiver.await_message(DAG, "alert_flink_down", run, "Flink job silver is not there")


def test_and_the_job_comes_back(main_job, trips_arrive):
    main_job.deploy()
    trips_arrive(seed=701)
