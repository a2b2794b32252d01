"""Starting and stopping the platform: nothing is lost, nothing stays behind. Of parts that die: `test_flink_jobs_killed`."""

from __future__ import annotations

from local import supervision
from local.parts import parts
from local.supervision import Supervisor

LIMIT_S = 90


def test_up_again_changes_nothing(platform, verb):
    before = {name: part["pid"] for name, part in Supervisor(platform).info().items()}

    verb("up")

    assert {name: part["pid"] for name, part in Supervisor(platform).info().items()} == before


def test_status_shows_each_part(platform, verb):
    shown = [line.split() for line in verb("status").splitlines()[1:-1]]

    assert [line[:2] for line in shown] == [[part.name, "healthy"] for part in parts(platform)]


def test_down_and_up_keeps_everything(platform, main_job, verb, trips_arrive):
    before = main_job.wait(main_job.ledger_at_rest, "rest", LIMIT_S)
    runs = main_job.api.call("GET", "dags/flink_jobs/dagRuns?limit=1")["total_entries"]

    verb("down")

    assert supervision.members(platform) == []
    assert supervision.ports_taken(platform.ports) == []
    verb("up")
    main_job.deploy()
    assert main_job.ledger() == before
    assert main_job.api.call("GET", "dags/flink_jobs/dagRuns?limit=1")["total_entries"] >= runs
    trips_arrive(seed=803)
