"""Who holds a port, which processes belong to the platform, and how they are stopped."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local import supervision
from local.config import PlatformError
from local.supervision import members, ports_taken, stop
from local.supervisor_conf import mark

LISTEN = """
import signal, socket, sys
with socket.create_server((sys.argv[1], 0)) as server:
    print(server.getsockname()[1], flush=True)
    signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True: signal.pause()
"""
OBEDIENT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True) or sys.exit())
print("ready", flush=True)
signal.pause()
"""
NEGLIGENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-SIc", "import signal; signal.pause()"])
print(child.pid, flush=True)
signal.pause()
"""

Run = Callable[..., "tuple[subprocess.Popen, str]"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Start a small Python script; return its process and the first line that it prints."""
    started: list[psutil.Process] = []

    def start(code: str, *arguments: str, **environment: str) -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-SIc", code, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
        line = process.stdout.readline().strip()
        started.extend(supervision.family(process.pid))
        return process, line

    yield start
    for process in started:
        if process.is_running():
            process.kill()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_named_with_its_holder(run, address):
    holder, port = run(LISTEN, address)
    _, other = run(LISTEN, address)
    free = {"KAFKA_PORT": _ended(run)}
    taken = ports_taken({"POSTGRES_PORT": int(port), **free, "AIRFLOW_PORT": int(other)})
    assert len(taken) == 2
    assert taken[0].startswith(f"POSTGRES_PORT={port} is held by pid {holder.pid} ({sys.executable} -SIc")
    assert taken[1].startswith(f"AIRFLOW_PORT={other} is held by pid ")


def _ended(run: Run) -> int:
    """A port that was in use a moment ago."""
    process, port = run(LISTEN, "127.0.0.1")
    process.kill()
    process.wait(10)
    return int(port)


def test_a_process_is_a_member_of_its_own_platform_only(run, platform, monkeypatch):
    mine, _ = run(OBEDIENT, **mark(platform, "service"))
    run(OBEDIENT, **(mark(platform, "service") | {"LAKEHOUSE_HOME": f"{platform.home}-2"}))
    run(OBEDIENT, LAKEHOUSE_HOME=str(platform.home))  # a shell that read the env file
    assert members(platform) == [psutil.Process(mine.pid)]


def test_a_process_is_terminated_and_killed_after_the_limit(run):
    obedient, _ = run(OBEDIENT)
    stubborn, _ = run(STUBBORN)
    stop([psutil.Process(obedient.pid), psutil.Process(stubborn.pid)], limit_s=2)
    assert obedient.stdout.read() == "asked\n"
    assert [obedient.wait(10), stubborn.wait(10)] == [0, -9]


def test_a_process_that_has_already_ended_is_ignored(run):
    process, _ = run(OBEDIENT)
    gone = psutil.Process(process.pid)
    process.kill()
    process.wait(10)
    stop([gone], limit_s=2)


def test_a_zombie_counts_as_ended(run):
    """As in a container whose first process is not an init."""
    _, child = run(NEGLIGENT)
    process = psutil.Process(int(child))
    stop([process], limit_s=5)
    assert process.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_cannot_be_ended_is_named(run, monkeypatch):
    stubborn, _ = run(STUBBORN)
    monkeypatch.setattr(supervision, "KILL_LIMIT_S", 0.2)
    process = psutil.Process(stubborn.pid)
    monkeypatch.setattr(process, "kill", lambda: None)  # otherwise, nothing in a test would survive this
    with pytest.raises(PlatformError, match=rf"these processes do not end: pid {stubborn.pid} \(.*python"):
        stop([process], limit_s=0.2)


def test_the_socket_is_in_a_private_folder_if_its_path_would_be_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(supervision.tempfile, "tempdir", str(tmp_path))
    short = supervision._socket_path(Path("/srv/lakehouse"))
    deep = [supervision._socket_path(tmp_path / ("d" * 100) / name) for name in ("a", "b")]
    assert short == Path("/srv/lakehouse/supervisor.sock")
    assert deep[0] != deep[1]
    assert {path.parent for path in deep} == {tmp_path / f"lakehouse-{os.geteuid()}"}
    assert deep[0].parent.stat().st_mode & 0o777 == 0o700


def test_a_private_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    """For a link, its own owner counts, not that of its target."""
    monkeypatch.setattr(supervision.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    link = tmp_path / "lakehouse-0"
    link.symlink_to("/")
    if link.lstat().st_uid == 0:
        os.lchown(link, 65534, 65534)
    with pytest.raises(PlatformError, match=f"{link} belongs to another user: set TMPDIR to a folder of yours"):
        supervision._socket_path(tmp_path / ("d" * 100))
