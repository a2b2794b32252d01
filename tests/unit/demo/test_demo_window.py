"""The demo's window becomes the platform's, and a platform that runs with another window is restarted."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from demo import run, window
from demo.main_job import Trips
from lakehouse.pipelines.load import get_pipeline
from lakehouse.pipelines.params import environment_name, parameters
from local import airflow, config
from local.config import PlatformError
from local.only_one import only_one
from local.supervision import Supervisor
from taxi_generator import pipeline

JANUARY, FEBRUARY, MARCH = (datetime(2024, month, 1) for month in (1, 2, 3))
HEAD = "tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount"


@pytest.fixture
def home(own_state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform that was up; variables set in this process are reset."""
    for name in window.OVERRIDES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    config.create()
    return own_state_folder


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was stopped."""
    stopped: list[str] = []
    monkeypatch.setattr(window.commands, "down", lambda: stopped.append("platform"))
    return stopped


@pytest.fixture
def february(tmp_path: Path) -> Path:
    file = tmp_path / "february.csv"
    file.write_text(f"{HEAD}\n2024-02-10,2024-02-10,1,1\n")
    return file


def test_variables_override_the_pipelines_parameters():
    taxi = get_pipeline(pipeline.NAME)
    assert tuple(environment_name(taxi, edge) for edge in pipeline.EDGES) == window.OVERRIDES


def test_a_window_is_stored_and_used_by_silver_and_the_generator(home, stopped, capsys, monkeypatch):
    window.put_in_force((FEBRUARY, MARCH))
    config.create()
    assert "from 2024-02-01 00:00:00 until 2024-03-01 00:00:00" in capsys.readouterr().out

    for name in window.OVERRIDES:
        monkeypatch.delenv(name)
    config.create()  # like a later `make up`
    later = airflow.environment(config.load())
    for name in window.OVERRIDES:
        monkeypatch.setenv(name, later[name])
    params = parameters(get_pipeline(pipeline.NAME))
    assert (params["pickup_from"], params["pickup_to"]) == ("2024-02-01 00:00:00", "2024-03-01 00:00:00")
    assert pipeline.window() == (FEBRUARY, MARCH)
    assert stopped == []


def test_a_platform_that_runs_with_another_window_is_stopped_once(home, stopped, monkeypatch):
    monkeypatch.setattr(Supervisor, "running", lambda _: True)
    window.put_in_force((FEBRUARY, MARCH))
    config.create()
    window.put_in_force((FEBRUARY, MARCH))
    assert stopped == ["platform"]


def test_auto_is_the_months_of_the_file(home, stopped, february):
    run._look(Trips(source=str(february)), window.read("auto", None))
    assert [os.environ[name] for name in window.OVERRIDES] == ["2024-02-01 00:00:00", "2024-03-01 00:00:00"]


def test_auto_is_january_for_synthetic_trips(home, stopped):
    """So that one can return from another month's file."""
    run._look(Trips(events=1_000), window.read("auto", None))
    assert [os.environ[name] for name in window.OVERRIDES] == ["2024-01-01 00:00:00", "2024-02-01 00:00:00"]


def test_without_a_window_nothing_is_changed(home, stopped, february):
    run._look(Trips(source=str(february)), window.read(None, None))
    assert not os.environ.keys() & set(window.OVERRIDES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("a,b\n1,2\n", "has no column tpep_pickup_datetime, .*only a, b"), (f"{HEAD}\n", "has no trips")],
    ids=["another file", "header only"],
)
def test_a_file_is_checked_before_anything_is_started(monkeypatch, tmp_path, text, problem):
    monkeypatch.setattr(run.commands, "up", lambda: pytest.fail("the platform was started"))
    file = tmp_path / "other.csv"
    file.write_text(text)
    with pytest.raises(PlatformError, match=rf"other\.csv {problem}\. Next: use a yellow"):
        run.demo(source=file)


def test_two_demos_at_once_are_refused(home, stopped, monkeypatch):
    """Each would count the trips of the other as surplus ones."""
    monkeypatch.setattr(run.commands, "up", lambda: pytest.fail("the platform was started"))
    with (
        only_one(config.DEMO),
        pytest.raises(PlatformError, match=rf"another demo of {home} is running: wait for it, or end it"),
    ):
        run.demo()


@pytest.mark.parametrize("text", ["2024-02-01 00:00:00", "2024-02-01T00:00:00", "2024-02-01"])
def test_a_time_may_be_written_as_iso_8601(text):
    assert window.read(text, "2024-03-01 00:00:00") == (FEBRUARY, MARCH)


def test_the_command_for_another_window_is_quoted():
    assert run.other_window(500, Path("it's.csv")).startswith(
        "make demo SOURCE='it'\"'\"'s.csv' EVENTS=500 PICKUP_FROM=auto "
    )
    assert run.other_window(None, None).startswith("make demo PICKUP_FROM=auto ")
