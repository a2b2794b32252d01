"""Starting, stopping and crashing the platform: nothing is lost, and no process is left behind."""

from __future__ import annotations

import psutil

from lakehouse.waiting import wait_until
from local import supervision
from local.parts import parts
from local.supervision import Supervisor

RESTART_LIMIT_S = 90


def test_up_again_changes_nothing(platform, verb):
    before = {name: part["pid"] for name, part in Supervisor(platform).info().items()}

    verb("up")

    assert {name: part["pid"] for name, part in Supervisor(platform).info().items()} == before


def test_status_shows_each_part(platform, verb):
    shown = [line.split() for line in verb("status").splitlines()[1:-1]]

    assert [line[:2] for line in shown] == [[part.name, "healthy"] for part in parts(platform)]


def test_killed_services_are_restarted_and_trips_arrive(platform, main_job, trips_arrive):
    before = main_job.wait(main_job.ledger_at_rest, "rest", RESTART_LIMIT_S)
    supervisor = Supervisor(platform)
    main_job.api.trigger("taxi_trip_generator", {"events": 3_000, "mode": "realtime", "rate": 300, "seed": 801})
    main_job.wait(lambda: main_job.ledger().events > before.events, "trips to flow", RESTART_LIMIT_S)

    for name in ("flink-taskmanager", "flink-jobmanager"):
        psutil.Process(supervisor.info()[name]["pid"]).kill()

    for part in parts(platform):
        wait_until(lambda part=part: part.probe() is None, f"{part.name} to come back", RESTART_LIMIT_S, part.probe)
    main_job.deploy()
    main_job.wait(lambda: main_job.ledger().events == before.events + 3_000, "all trips to be sent", RESTART_LIMIT_S)
    trips_arrive(seed=802)


def test_down_and_up_keeps_everything(platform, main_job, verb, trips_arrive):
    before = main_job.wait(main_job.ledger_at_rest, "rest", RESTART_LIMIT_S)
    runs = main_job.api.call("GET", "dags/flink_jobs/dagRuns?limit=1")["total_entries"]

    verb("down")

    assert supervision.members(platform) == []
    assert supervision.ports_taken(platform.ports) == []
    verb("up")
    main_job.deploy()
    assert main_job.ledger() == before
    assert main_job.api.call("GET", "dags/flink_jobs/dagRuns?limit=1")["total_entries"] >= runs
    trips_arrive(seed=803)
