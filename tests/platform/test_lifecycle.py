"""Starting, stopping and crashing the platform: nothing is lost, and no process is left behind."""

from __future__ import annotations

import psutil

from lakehouse.waiting import wait_until
from local import supervision
from local.services import services
from local.supervision import Supervisor

RESTART_LIMIT_S = 90


def test_up_again_changes_nothing(platform, command):
    before = {name: service["pid"] for name, service in Supervisor(platform).info().items()}

    command("up")

    assert {name: service["pid"] for name, service in Supervisor(platform).info().items()} == before


def test_status_shows_each_service(platform, command):
    shown = [line.split() for line in command("status").splitlines()[1:-1]]

    assert [line[:2] for line in shown] == [[service.name, "healthy"] for service in services(platform)]


def test_killed_services_are_restarted_and_trips_arrive(platform, main_job, trips_arrive):
    before = main_job.wait(main_job.ledger_at_rest, "rest", RESTART_LIMIT_S)
    supervisor = Supervisor(platform)
    main_job.api.trigger("taxi_trip_generator", {"events": 3_000, "mode": "realtime", "rate": 300, "seed": 801})
    main_job.wait(lambda: main_job.ledger().events > before.events, "trips to flow", RESTART_LIMIT_S)

    for name in ("flink-taskmanager", "flink-jobmanager"):
        psutil.Process(supervisor.info()[name]["pid"]).kill()

    for service in services(platform):
        back = f"{service.name} to come back"
        wait_until(lambda service=service: service.probe() is None, back, RESTART_LIMIT_S, service.probe)
    main_job.deploy()
    main_job.wait(lambda: main_job.ledger().events == before.events + 3_000, "all trips to be sent", RESTART_LIMIT_S)
    trips_arrive(seed=802)


def test_down_and_up_keeps_everything(platform, main_job, command, trips_arrive):
    before = main_job.wait(main_job.ledger_at_rest, "rest", RESTART_LIMIT_S)
    runs = main_job.api.call("GET", "dags/flink_jobs/dagRuns?limit=1")["total_entries"]

    command("down")

    assert supervision.members(platform) == []
    assert supervision.ports_taken(platform.ports) == []
    command("up")
    main_job.deploy()
    assert main_job.ledger() == before
    assert main_job.api.call("GET", "dags/flink_jobs/dagRuns?limit=1")["total_entries"] >= runs
    trips_arrive(seed=803)
