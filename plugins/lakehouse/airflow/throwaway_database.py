"""A temporary metadata database for one `airflow dags test` or `tasks test`, removed at the end, also on SIGTERM."""

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

    The command continues in a child process. This process waits for it, terminates it on a signal (during a task, SIGTERM
    would only call the task's `on_kill`, and the test would continue), and removes the copy.
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
    """Return a migrated database that contains only the settings; create it if it does not exist."""
    migrated = _prepared(f"dags-test-{version('apache-airflow')}", None, "airflow", "db", "migrate")
    settings = str(airflow_settings.load())  # includes values from the environment: other ports give another database
    return _prepared(
        f"{migrated.stem}-{sha256(settings.encode()).hexdigest()[:12]}", migrated, "lakehouse.airflow.settings"
    )


def _prepared(name: str, base: Path | None, *module: str) -> Path:
    """Return a database; if it does not exist, create it by running a module on a copy of the base, or from scratch."""
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
    """Wait for the child; on SIGTERM or SIGHUP, terminate it and its descendants. Return the exit status."""

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
    except SystemExit as exit_request:
        return int(exit_request.code or 0)
