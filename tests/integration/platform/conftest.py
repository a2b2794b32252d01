"""One embedded platform for all of these tests: a copy of the repository, a state folder and ports of its own.

A running demo is not disturbed, and what a test breaks on purpose (a model, a setting) is broken in the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from lakehouse.generator.synthetic import invalid_events
from lakehouse.waiting import wait_until
from local import airflow, config, supervision
from local.config import ROOT, Platform
from local.main_job import MainJob, Trips
from local.progress import Progress

PARTS = ("dags", "include", "plugins", "local")
PORT_BASE = os.environ.get("TEST_PORT_BASE", "28000")
VERB_LIMIT_S = 300
COMMAND_LIMIT_S = 240


class Receiver:
    """Where alerts go: a web server on loopback that keeps each message."""

    def __init__(self) -> None:
        received = self.messages = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The receiver's address as Apprise writes it."""
        return f"json://127.0.0.1:{self.server.server_port}/"

    def await_message(self, *words: str) -> dict:
        """The first message that holds all of the words."""

        def found() -> dict | None:
            return next((m for m in self.messages if all(word in m["title"] + m["message"] for word in words)), None)

        return wait_until(found, f"an alert with {words}", 60, on_timeout=lambda: f"There were: {self.messages}")


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture(scope="session")
def checkout() -> Iterator[Path]:
    """A copy of the repository that shares the environment and the jars. Under root PostgreSQL's user must get in."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-platform-") as folder:
        Path(folder).chmod(0o711)
        copy = Path(folder, "checkout")
        for part in PARTS:
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("target", "__pycache__"))
        shutil.copy(ROOT / "airflow_settings.yaml", copy)
        (copy / "flink").symlink_to(ROOT / "flink")
        yield copy


@pytest.fixture(scope="session")
def verb(checkout: Path, receiver: Receiver) -> Callable[..., str]:
    """Run a verb of the platform and return what it prints."""
    env = {name: value for name, value in os.environ.items() if name not in (*config.PORTS, *config.OPTIONS)}
    env |= {"LAKEHOUSE_HOME": str(checkout / ".local"), "PORT_BASE": PORT_BASE, "ALERTS_URL": receiver.url}

    def verb(*arguments: str) -> str:
        command = [sys.executable, "-m", "local", *arguments]
        run = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=VERB_LIMIT_S)
        assert run.returncode == 0, f"{arguments}:\n{run.stdout}\n{run.stderr}"
        return run.stdout

    return verb


@pytest.fixture(scope="session")
def platform(checkout: Path, verb: Callable[..., str]) -> Iterator[Platform]:
    """The platform, up; down at the end, with no process left."""
    kept = dict(os.environ)
    os.environ["LAKEHOUSE_HOME"] = str(checkout / ".local")
    try:
        verb("up")
        platform = config.load()
        yield platform
    finally:
        verb("down")
        os.environ.clear()
        os.environ.update(kept)
    assert supervision.members(platform) == []


@pytest.fixture(scope="session")
def main_job(platform: Platform) -> MainJob:
    """The main job, its Flink jobs deployed."""
    job = MainJob(platform, Progress())
    job.deploy()
    return job


@pytest.fixture
def trips_arrive(main_job: MainJob) -> Callable[[int], None]:
    """Send that many new trips: each must be in Bronze once, and in Silver once, where it keeps the rules."""

    def trips_arrive(seed: int) -> None:
        before = main_job.wait(main_job.ledger_at_rest, "earlier trips to arrive", VERB_LIMIT_S)
        main_job.send(Trips(events=1_000, seed=seed))
        now = main_job.ledger()
        new = {name: value - getattr(before, name) for name, value in asdict(now).items() if name != "fct_trips"}
        valid = 1_000 - invalid_events(1_000)[0]
        assert now.balanced
        assert new == {
            "kafka": 1_000,
            "bronze": 1_000,
            "rejected_events": 0,
            "silver": valid,
            "rejected_trips": 1_000 - valid,
            "duplicates": 0,
        }

    return trips_arrive


@pytest.fixture
def nobody_mends_it(main_job: MainJob) -> Iterator[Callable[[], None]]:
    """`flink_jobs` brings a job that is gone back by itself, every 5 minutes: not until this is called.

    It is paused between two runs: one under way would never end.
    """
    api = main_job.api

    def pause(rest: bool) -> None:
        api.call("PATCH", "dags/flink_jobs", {"is_paused": rest})

    def paused_at_rest() -> bool:
        if api.active_run("flink_jobs"):
            return False
        pause(True)
        if api.active_run("flink_jobs") is None:
            return True
        pause(False)
        return False

    main_job.wait(paused_at_rest, "flink_jobs to be at rest", VERB_LIMIT_S)
    yield lambda: pause(False)
    pause(False)


@pytest.fixture(scope="session")
def shell(platform: Platform, checkout: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command as a person does after `eval "$(make -s env)"`; other values for some variables may be given."""

    def run(*command: str, **changed: str) -> subprocess.CompletedProcess:
        # Connections and variables come from Airflow's database there, not from what this process looks them up in.
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_"))
        }
        env |= airflow.environment(platform) | _moved(platform, checkout) | changed
        return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=COMMAND_LIMIT_S)

    return run


def _moved(platform: Platform, checkout: Path) -> dict[str, str]:
    """`local` was imported from the repository: its folders are those of the copy there."""
    environment = airflow.environment(platform)
    return {
        name: value.replace(str(ROOT), str(checkout)) for name, value in environment.items() if "FOLDER" in name
    } | {"PYTHONPATH": str(checkout / "plugins")}
