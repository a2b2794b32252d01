"""What the chaos suite does to processes, with a real supervisor and stand-in services."""

from __future__ import annotations

import psutil
import pytest
from chaos.stage import Stage

from lakehouse.waiting import wait_until
from local import supervision

LIMIT_S = 20
WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
ready()
child.wait()
"""


@pytest.fixture
def stage(platform, supervisor, fake) -> Stage:
    supervisor.launch([fake("kafka", WITH_CHILD), fake("postgres")])
    for name in ("kafka", "postgres"):
        supervisor.call("startProcess", name, True)
    wait_until(lambda: len(supervision.family(supervisor.info()["kafka"]["pid"])) == 2, "the child", LIMIT_S)
    return Stage(platform, checkout=None, job=None, proxy=None)


def states(stage: Stage, name: str) -> set[str]:
    return {process.status() for process in supervision.family(stage.supervisor.info()[name]["pid"])}


def test_a_killed_service_is_restarted(stage):
    before = stage.supervisor.info()["kafka"]["pid"]
    stage.kill("kafka")
    assert stage.struck_at
    wait_until(lambda: stage.supervisor.info()["kafka"]["pid"] not in (0, before), "the service to come back", LIMIT_S)


def test_a_stopped_service_hangs_with_its_children_and_continues(stage):
    with stage.stopped("kafka"):
        wait_until(lambda: states(stage, "kafka") == {psutil.STATUS_STOPPED}, "all of it to stop", LIMIT_S)
        assert psutil.STATUS_STOPPED not in states(stage, "postgres")
    wait_until(lambda: psutil.STATUS_STOPPED not in states(stage, "kafka"), "all of it to go on", LIMIT_S)


def test_a_power_cut_kills_everything_and_nothing_is_restarted(stage, platform):
    stage.kill_everything()
    left = [process for process in supervision.members(platform) if process.status() != psutil.STATUS_ZOMBIE]
    assert left == []
    assert not stage.supervisor.running()


def test_an_unhealthy_service_is_reported(stage):
    stage.supervisor.call("stopProcess", "postgres", True)
    assert stage.problem().startswith(("kafka: ", "postgres: "))
