"""One embedded platform for all of these tests, in a copy of the repository (see `checkout.py`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from airflow.sdk import BaseHook
from chaos.proxy import Proxy
from chaos.stage import tolerate_restarts
from checkout import Checkout

import taxi_generator
from demo import embedded
from demo.main_job import MainJob
from lakehouse.waiting import wait_until
from local import config, supervision
from local.config import Platform
from local.progress import Progress
from taxi_generator.synthetic import invalid_events

PORT_BASE = os.environ.get("TEST_PORT_BASE", "28000")
VERB_LIMIT_S = 300
CHECKPOINT_INTERVAL = "3 s"  # shorter than declared: rows become visible with commits


#: In this order: first those that need a new platform, last those that leave changes behind.
SHORT = ("test_a_new_platform", "test_second_pipeline")
LONG = (
    "test_event_time", "test_flink_jobs_life", "test_maintenance", "test_alerts", "test_bad_events", "test_calendar",
    "test_changed_by_others", "test_chaos", "test_demo", "test_documented_commands", "test_erasure",
    "test_flink_jobs_by_hand", "test_flink_jobs_killed", "test_gold_recovery", "test_lifecycle", "test_rejects",
    "test_replay", "test_shell", "test_transactions", "test_unhealthy", "test_whole_audit", "test_walkthrough",
    "test_with_a_new_field", "test_lost_rows",
)  # fmt: skip
ORDER = (*SHORT, *LONG)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that share a platform first, in their order, and leave all but the main ones to the long suite.

    First, because they take longest: another process runs the rest meanwhile.
    """
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        return ORDER.index(item.path.stem) if item.path.parent == here else len(ORDER)

    items.sort(key=place)
    for item in items:
        if item.path.is_relative_to(here) and item.path.stem not in SHORT:
            item.add_marker(pytest.mark.long)


class Receiver:
    """Receives alerts: a web server on loopback that stores each message."""

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
        """The receiver's address as Apprise URL."""
        return f"json://127.0.0.1:{self.server.server_port}/"

    def await_message(self, *parts: str, limit_s: float = 60) -> dict:
        """Wait for the first message that contains all of these texts."""

        def found() -> dict | None:
            return next((m for m in self.messages if all(part in m["title"] + m["message"] for part in parts)), None)

        return wait_until(found, f"an alert with {parts}", limit_s, on_timeout=lambda: f"There were: {self.messages}")


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture(scope="session")
def proxy() -> Iterator[Proxy]:
    """A proxy between the platform and its catalog, which a test can interrupt."""
    proxy = Proxy(int(PORT_BASE) + list(config.PORTS).index("POSTGRES_PORT"))
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def copy(proxy: Proxy, receiver: Receiver) -> Iterator[Checkout]:
    """A copy of the repository, which PostgreSQL's user can access when tests run as root."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-platform-") as folder:
        Path(folder).chmod(0o711)
        copy = Checkout(Path(folder, "checkout"), PORT_BASE=PORT_BASE, ALERTS_URL=receiver.url)
        copy.connect("iceberg_catalog", port=proxy.port)
        copy.connect("coordination", port=proxy.port)
        tolerate_restarts(copy)
        copy.change_variable("flink_job_options", **{"execution.checkpointing.interval": CHECKPOINT_INTERVAL})
        yield copy


@pytest.fixture(scope="session")
def checkout(copy: Checkout) -> Path:
    """The copy's folder."""
    return copy.folder


@pytest.fixture(scope="session")
def command(copy: Checkout) -> Callable[..., str]:
    """Run a command of the platform and return its output."""
    return copy.command


@pytest.fixture(scope="session")
def platform(checkout: Path, command: Callable[..., str]) -> Iterator[Platform]:
    """The running platform; stopped at the end, without leftover processes."""
    kept = dict(os.environ)
    os.environ["LAKEHOUSE_HOME"] = str(checkout / ".local")
    try:
        command("up")
        platform = config.load()
        yield platform
    finally:
        command("down")
        os.environ.clear()
        os.environ.update(kept)
    assert supervision.members(platform) == []


@pytest.fixture(scope="session")
def main_job(platform: Platform) -> MainJob:
    """The main job, with deployed Flink jobs."""
    job = embedded.main_job(platform, Progress())
    job.deploy()
    return job


@pytest.fixture(scope="session")
def send_trips(main_job: MainJob) -> Callable[..., None]:
    """Send synthetic trips from this process, like the DAG's task."""

    def send_trips(events: int, seed: int) -> None:
        registry = BaseHook.get_connection("schema_registry").host
        kafka = BaseHook.get_connection("kafka_default").extra_dejson
        sent = taxi_generator.run(kafka, registry=registry, topic=main_job.topic, events=events, seed=seed)
        assert sent["delivered"] == events

    return send_trips


@pytest.fixture
def trips_arrive(main_job: MainJob, send_trips: Callable[..., None]) -> Callable[[int], None]:
    """Send new trips: each must be in Bronze once, and valid ones in Silver and in the live windows once."""

    def trips_arrive(seed: int) -> None:
        before = main_job.wait(main_job.ledger_at_rest, "earlier trips to arrive", VERB_LIMIT_S)
        send_trips(1_000, seed)
        now = main_job.wait(
            lambda: (ledger := main_job.ledger_at_rest()) and ledger.events > before.events and ledger,
            "the trips to arrive",
            VERB_LIMIT_S,
        )
        valid = 1_000 - invalid_events(1_000)[0]
        assert now.events - before.events == 1_000
        arrived = {table: now.rows(table) - before.rows(table) for table in main_job.pipeline.sinks}
        assert arrived.pop("live.counted_trips") + arrived.pop("live.late_trips") == valid
        assert arrived == {
            "bronze.raw_trips": 1_000,
            "bronze.rejected_events": 0,
            "silver.cleaned_trips": valid,
            "silver.rejected_trips": 1_000 - valid,
            "silver.duplicate_trips": 0,
        }

    return trips_arrive


@pytest.fixture
def flink_jobs_paused(main_job: MainJob) -> Iterator[Callable[[], None]]:
    """Pause `flink_jobs`, which would restore a missing job within seconds, until the result is called.

    It is paused between two runs, because an active run would never end.
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

    main_job.wait(paused_at_rest, "flink_jobs to be idle", VERB_LIMIT_S)
    yield lambda: pause(False)
    pause(False)


@pytest.fixture(scope="session")
def shell_environment(platform: Platform, copy: Checkout) -> dict[str, str]:
    """The environment of a shell after `eval "$(make -s env)"`."""
    return copy.shell_environment(platform)


@pytest.fixture(scope="session")
def shell(platform: Platform, copy: Checkout) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command in such a shell; some variables can be overridden."""
    return partial(copy.shell, platform)


#: Runs `FlinkJobOperator` in a process with the copy's files and settings.
DEPLOY = """
import sys
from lakehouse.airflow import settings
from lakehouse.airflow.operators.flink import FlinkJobOperator
settings.apply_to_environment()
job, action, path = sys.argv[1:]
print(FlinkJobOperator(task_id="deploy", job=job, action=action, state_path=path).execute({}))
"""


@pytest.fixture
def deploy(shell: Callable[..., subprocess.CompletedProcess]) -> Callable[..., str]:
    """Deploy a job like a task of `flink_jobs`, with an action, and return the output."""

    def deploy(job: str, fails: bool = False, action: str = "reconcile", state_path: str = "") -> str:
        run = shell(sys.executable, "-c", DEPLOY, job, action, state_path)
        output = run.stdout + run.stderr
        assert (run.returncode != 0) is fails, output
        return output

    return deploy
