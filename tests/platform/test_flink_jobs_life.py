"""The life cycle of the streaming jobs under `flink_jobs`: no change, concurrent runs, an upgrade, failing SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from demo.main_job import MainJob
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.waiting import wait_until

LIMIT_S = 300
JOBS = ("nyc_taxi.bronze", "nyc_taxi.silver", "nyc_taxi.live")
#: A stateful step, which is not in earlier state.
STATEFUL = "(SELECT *, ROW_NUMBER() OVER (PARTITION BY kafka_partition, kafka_offset ORDER BY PROCTIME()) AS n FROM typed_trips)"


@pytest.fixture
def deployments(main_job: MainJob) -> Callable[[], dict[str, dict]]:
    """Run `flink_jobs` and return the deployment of each job."""

    def run() -> dict[str, dict]:
        run_id = main_job.deploy()
        return {
            job: main_job.api.returned("flink_jobs", run_id, f"nyc_taxi.deploy_{job.split('.')[1]}") for job in JOBS
        }

    return run


@pytest.fixture
def settled(main_job: MainJob) -> Iterator[None]:
    """After a test, wait until the jobs run as declared, so that no upgrade interrupts the next test."""
    yield
    main_job.at_rest("flink_jobs", LIMIT_S)
    main_job.deploy()


@pytest.fixture
def job_options(main_job: MainJob, settled: None) -> Iterator[Callable[..., None]]:
    """Change options of the streaming jobs in the variable, as in the UI."""
    declared = main_job.api.variable("flink_job_options")

    def change(**options: str) -> None:
        main_job.api.set_variable("flink_job_options", json.dumps({**json.loads(declared), **options}))

    yield change
    change()


@pytest.fixture
def silver_sql(checkout: Path, settled: None) -> Iterator[Callable[[str, str], None]]:
    """Change a part of Silver's SQL; it is restored after the test."""
    file = checkout / "include" / "sql" / "nyc_taxi" / "06-silver.sql"
    declared = file.read_text()

    def change(place: str, by: str) -> None:
        assert declared.count(place) == 1
        file.write_text(declared.replace(place, by))

    yield change
    file.write_text(declared)


def test_a_second_run_changes_nothing(deployments):
    jobs = deployments()

    again = deployments()

    assert {name: deployment["action"] for name, deployment in again.items()} == dict.fromkeys(jobs, "unchanged")
    assert [again[name]["job_id"] for name in jobs] == [jobs[name]["job_id"] for name in jobs]


def test_a_missing_job_is_restored_once_by_concurrent_runs(deployments, deploy, trips_arrive):
    """The DAG and a shell find it missing at the same time; its rows are neither lost nor duplicated."""
    flink = FlinkRestHook()
    old = flink.live_run("nyc_taxi.bronze")
    flink.cancel(old.job_id)
    wait_until(lambda: flink.live_run("nyc_taxi.bronze") is None, "the job to be cancelled", LIMIT_S)

    with ThreadPoolExecutor(1) as pool:
        by_hand = pool.submit(deploy, "nyc_taxi.bronze")
        deployments()
        by_hand.result()

    new = [run for run in flink.runs("nyc_taxi.bronze") if run.started_ms > old.started_ms]
    assert len(new) == 1
    restored = flink.checkpoints(new[0].job_id)["latest"]["restored"]
    assert f"/checkpoints/nyc_taxi.bronze/{old.job_id}/chk-" in restored["external_path"]
    trips_arrive(seed=301)


def test_other_options_are_an_upgrade_from_a_savepoint(main_job, deployments, job_options, trips_arrive):
    flink = FlinkRestHook()
    old = {job: (flink.live_run(job), done["fingerprint"]) for job, done in deployments().items()}
    main_job.at_rest("flink_jobs", LIMIT_S)
    job_options(**{"execution.checkpointing.min-pause": "1 s"})

    done = deployments()

    for job, (before, fingerprint) in old.items():
        after = flink.live_run(job)
        restored = flink.checkpoints(after.job_id)["latest"]["restored"]
        assert restored["is_savepoint"]
        assert f"/savepoints/{job}/savepoint-" in restored["external_path"]
        assert flink.state(before.job_id) == "FINISHED"
        assert done[job].pop("fingerprint") != fingerprint
        assert done[job] == {
            "job": job,
            "found": f"RUNNING ({before.job_id})",
            "action": "upgraded",
            "job_id": after.job_id,
            "restored_from": done[job]["restored_from"],
            "savepoint": None,
        }
        assert done[job]["restored_from"].split("/flink/")[1] == restored["external_path"].split("/flink/")[1]
        assert before.job_id != after.job_id
    trips_arrive(seed=302)


@pytest.fixture
def stream(main_job) -> Iterator[Callable[[], None]]:
    """Send 200 trips per second until the result is called or the test ends."""
    run = main_job.api.trigger("taxi_trip_generator", {"events": 200_000, "mode": "realtime", "rate": 200, "seed": 305})

    def end() -> None:
        main_job.api.call("PATCH", f"dags/taxi_trip_generator/dagRuns/{quote(run)}", {"state": "failed"})

    yield end
    end()


@pytest.mark.timeout(1200)
def test_other_parallelism_under_a_stream(main_job, deployments, job_options, stream):
    """More and then fewer subtasks: the state is redistributed, and no row is lost or written twice."""
    flink = FlinkRestHook()
    start = main_job.ledger()
    for parallelism in (2, 4, 1):
        main_job.at_rest("flink_jobs", LIMIT_S)
        job_options(**{"parallelism.default": str(parallelism)})
        deployments()
        before = main_job.ledger().rows("silver.cleaned_trips")
        for job in JOBS:
            run = flink.live_run(job)
            assert flink.call("GET", f"jobs/{run.job_id}/config")["execution-config"]["job-parallelism"] == parallelism
            assert flink.checkpoints(run.job_id)["latest"]["restored"]["is_savepoint"]
        main_job.wait(
            lambda before=before: main_job.ledger().rows("silver.cleaned_trips") > before,
            "the stream to continue",
            LIMIT_S,
        )
    stream()
    end = main_job.wait(main_job.ledger_at_rest, "the last trips to arrive", LIMIT_S)
    assert end.balanced
    assert end.events - start.events > 1_000
    assert end.rows("silver.duplicate_trips") == start.rows("silver.duplicate_trips")


def test_invalid_sql_does_not_affect_the_running_job(main_job, deploy, silver_sql):
    before = FlinkRestHook().live_run("nyc_taxi.silver")
    silver_sql("WHERE occurrence = 1", "WHERE no_such_column = 1")

    output = deploy("nyc_taxi.silver", fails=True)

    assert "the running job is not affected" in output
    assert "no_such_column" in output
    assert FlinkRestHook().live_run("nyc_taxi.silver") == before


def test_sql_with_an_incompatible_state_is_rolled_back(main_job, deploy, silver_sql, flink_jobs_paused, trips_arrive):
    """An additional stateful step: the old SQL is restored from the same savepoint."""
    flink = FlinkRestHook()
    old = flink.live_run("nyc_taxi.silver")
    silver_sql("silver.counted('typed_trips'", f'silver.counted("{STATEFUL} WHERE n = 1"')

    assert "is not compatible with this SQL" in deploy("nyc_taxi.silver", fails=True)

    back = flink.live_run("nyc_taxi.silver")
    failed = next(run for run in flink.runs("nyc_taxi.silver") if run.state == "FAILED")
    assert old.started_ms < failed.started_ms < back.started_ms
    restored = flink.checkpoints(back.job_id)["latest"]["restored"]
    assert f"/savepoints/nyc_taxi.silver/savepoint-{old.job_id[:6]}-" in restored["external_path"]

    assert "was rolled back" in deploy("nyc_taxi.silver", fails=True)
    assert flink.live_run("nyc_taxi.silver") == back
    trips_arrive(seed=303)

    silver_sql("WHERE occurrence > 1", "WHERE occurrence >= 2")
    assert "action='upgraded'" in deploy("nyc_taxi.silver")
    trips_arrive(seed=304)


def test_a_rollback_sends_an_alert(main_job, silver_sql, receiver):
    receiver.messages.clear()
    silver_sql("silver.counted('typed_trips'", f'silver.counted("{STATEFUL} WHERE n = 1"')
    main_job.at_rest("flink_jobs", LIMIT_S)
    main_job.api.trigger("flink_jobs", {})
    receiver.await_message(
        "failure", "flink_jobs.nyc_taxi.deploy_silver", "was rolled back: it runs as before", limit_s=2 * LIMIT_S
    )
