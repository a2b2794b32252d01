"""A missing streaming job: the pipeline takes the alert branch, an alert is sent, and nothing is lost meanwhile."""

from __future__ import annotations

import pytest

from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.gold.file import published_file
from lakehouse.waiting import wait_until
from local.config import PlatformError

LIMIT_S = 120
DAG = "nyc_taxi_pipeline"


def test_the_pipeline_alerts(main_job, receiver, flink_jobs_paused):
    before = published_file(main_job.pipeline).stat().st_mtime_ns
    flink = FlinkRestHook()
    flink.call("PATCH", f"jobs/{flink.live_run('nyc_taxi.silver').job_id}?mode=cancel")
    wait_until(lambda: flink.live_run("nyc_taxi.silver") is None, "the job to be cancelled", LIMIT_S)
    receiver.messages.clear()

    with pytest.raises(PlatformError, match=r"did not publish Gold: Flink job nyc_taxi\.silver is gone"):
        main_job.build()
    main_job.at_rest(DAG, LIMIT_S)

    run = main_job.api.call("GET", f"dags/{DAG}/dagRuns?order_by=-start_date&limit=1")["dag_runs"][0]["dag_run_id"]
    states = {name: task["state"] for name, task in main_job.api.tasks(DAG, run).items()}
    assert (states.pop("check_flink_health"), states.pop("alert_flink_down")) == ("success", "failed")
    assert set(states.values()) == {"skipped"}
    assert main_job.api.state(DAG, run) == "failed"
    assert published_file(main_job.pipeline).stat().st_mtime_ns == before
    receiver.await_message(DAG, "alert_flink_down", run, "Flink job nyc_taxi.silver is gone", "#gold-held-back")
    assert [message["title"] for message in receiver.messages if run in message["message"]] == [
        f"failure: {DAG}.alert_flink_down"
    ]


def test_the_job_is_restored(main_job, trips_arrive):
    main_job.deploy()
    trips_arrive(seed=701)
