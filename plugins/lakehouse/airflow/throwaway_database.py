"""A private, throw-away metadata database for one `airflow dags test` or `tasks test`, and an end to it on SIGTERM."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import psutil

from lakehouse.airflow import settings as airflow_settings

GRACE_S = 5
PREPARE_LIMIT_S = 180


def open_throwaway_database() -> tuple[str, str]:
    """Give this command a fresh copy of a prepared SQLite database; return its URLs (sync, async).

    The command goes on in a child process. This one waits for it, ends it when told to (during a task SIGTERM only
    calls the task's `on_kill`, and the test goes on), and removes the copy.
    """
    template = _template()
    folder = Path(tempfile.mkdtemp(prefix="airflow-dags-test-"))
    shutil.copyfile(template, folder / "airflow.db")
    if child := os.fork():
        try:
            status = _wait(psutil.Process(child))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(status)
    url = f"sqlite:///{folder}/airflow.db"
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = url  # for what reads the configuration, and for child processes
    return url, f"sqlite+aiosqlite:///{folder}/airflow.db"


def _template() -> Path:
    """Return a migrated database with the settings loaded and nothing else in it; make it when there is none."""
    migrated = _prepared(f"dags-test-{version('apache-airflow')}", None, "airflow", "db", "migrate")
    settings = str(airflow_settings.load())  # with the values of this environment: other ports are another database
    return _prepared(
        f"{migrated.stem}-{sha256(settings.encode()).hexdigest()[:12]}", migrated, "lakehouse.airflow.settings"
    )


def _prepared(name: str, base: Path | None, *module: str) -> Path:
    """Return a database; make it when there is none, by having a module work on a copy of the base, or on nothing."""
    from airflow.configuration import AIRFLOW_HOME

    database = Path(AIRFLOW_HOME) / f"{name}.db"
    if database.exists():
        return database
    draft = database.with_suffix(f".{os.getpid()}")
    if base:
        shutil.copyfile(base, draft)
    else:
        print("Preparing the database of `airflow dags test` (once, about 10 s)", file=sys.stderr, flush=True)
    env = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{draft}"}
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PREPARE_LIMIT_S)
    if done.returncode:
        draft.unlink(missing_ok=True)
        raise SystemExit(f"`{' '.join(command)}` failed ({done.returncode}):\n{done.stderr[-2000:]}")
    draft.chmod(0o600)
    return draft.replace(database)


def _wait(child: psutil.Process) -> int:
    """Wait for the child; on SIGTERM or SIGHUP end it and all that it started. Return the status to exit with."""

    def end(signum: int, _frame: object) -> None:
        family = [*child.children(recursive=True), child]
        for process in family:
            process.terminate()
        for process in psutil.wait_procs(family, timeout=GRACE_S)[1]:
            process.kill()
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child itself
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    try:
        return abs(child.wait())
    except SystemExit as told:
        return int(told.code or 0)
