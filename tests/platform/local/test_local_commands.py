"""The commands as a user calls them: what they do, refuse, and advise."""

import dataclasses
import fcntl
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from lakehouse.waiting import wait_until
from local import airflow, config
from local.config import ROOT
from local.start import start
from local.supervision import await_end, members

STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\nwhile True: signal.pause()\n"

EXECUTOR_WORKER = STUBBORN.replace(
    "ready()", "from setproctitle import setproctitle\nsetproctitle('airflow worker -- LocalExecutor: <idle>')\nready()"
)


def _local(*arguments: str, answer: str | None = None) -> subprocess.CompletedProcess:
    """Run `python -m local ...`, on a terminal if an answer is given."""
    command = [sys.executable, "-m", "local", *arguments]
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 60}
    if answer is None:
        return subprocess.run(command, stdin=subprocess.DEVNULL, **options)
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, answer.encode())
        return subprocess.run(command, stdin=terminal, **options)
    finally:
        os.close(keyboard)
        os.close(terminal)


@pytest.mark.parametrize("command", ["status", "logs", "clean"])
def test_without_a_platform_a_command_says_how_to_start_one(home, command):
    run = _local(command)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"error: there is no platform in {home} yet. Start one: make up\n"
    assert not home.exists()


def test_an_unknown_log_is_named_with_the_existing_ones(platform):
    (platform.logs / "kafka.log").write_text("a line\nthe last line\n")
    unknown = _local("logs", "kafca")
    assert unknown.returncode == 1
    assert "there is no log of 'kafca'" in unknown.stderr
    assert "(existing logs: kafka)" in unknown.stderr
    assert "the last line" in _local("logs").stdout
    assert _local("logs", "kafka", "--lines", "1").stdout == "the last line\n"


def test_env_is_evaluated_and_exported_by_a_shell(home, monkeypatch):
    monkeypatch.setenv("ALERTS_URL", "json://user:it's $HOME@127.0.0.1/a b;c")
    config.create()
    shell = f'eval "$({shlex.quote(sys.executable)} -m local env)" && printenv ALERTS_URL AIRFLOW_HOME'
    environment = {name: value for name, value in os.environ.items() if name != "ALERTS_URL"}
    run = subprocess.run(["sh", "-c", shell], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.stdout == f"json://user:it's $HOME@127.0.0.1/a b;c\n{home}/airflow\n"


@pytest.mark.parametrize(("given", "named"), [("", "nyc_taxi"), ("flights", "flights")])
def test_env_names_the_pipeline_whose_models_dbt_sees(platform, monkeypatch, given, named):
    monkeypatch.setenv("PIPELINE", given)
    assert f"export LAKEHOUSE_PIPELINE={named}\n" in _local("env").stdout


@pytest.mark.parametrize(
    ("arguments", "answer", "deleted"),
    [((), None, False), ((), "\n", False), ((), "y\n", True), (("--yes",), None, True)],
    ids=["nobody to ask", "return", "yes", "--yes"],
)
def test_clean_only_deletes_after_confirmation(platform, arguments, answer, deleted):
    (platform.home / "warehouse" / "table").write_text("data")
    run = _local("clean", *arguments, answer=answer)
    assert platform.home.exists() != deleted
    assert run.returncode == (0 if deleted else 1)
    if deleted:
        assert f"{platform.home} was deleted" in run.stdout
    else:
        assert "nothing was deleted (to delete without a question: YES=1)" in run.stderr
    if answer:
        assert f"Delete {platform.home} (" in run.stdout


def test_clean_refuses_while_the_platform_runs(platform, supervisor, fake):
    supervisor.launch([fake("service")])
    run = _local("clean", "--yes")
    assert run.returncode == 1
    assert f"the platform in {platform.home} is running: make down first" in run.stderr
    assert platform.env_file.is_file()


def test_down_leaves_no_process_and_keeps_the_data(platform, supervisor, fake):
    (platform.home / "warehouse" / "table").write_text("data")
    services = [fake("obedient"), fake("stubborn", STUBBORN, stop_seconds=1)]
    supervisor.launch(services)
    start(platform, supervisor, services)
    processes = members(platform)
    assert len(processes) == 3  # the supervisor is one

    down = _local("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert await_end(processes, 0) == []
    assert (platform.home / "warehouse" / "table").read_text() == "data"
    again = _local("down")
    assert (again.returncode, again.stderr) == (0, "")


def test_down_ends_what_a_killed_supervisor_left_behind(platform, supervisor, fake):
    services = [fake("left")]
    supervisor.launch(services)
    start(platform, supervisor, services)
    daemon = psutil.Process(supervisor.pid())
    daemon.kill()
    wait_until(lambda: not supervisor.running(), "the supervisor to be gone", 10)
    assert len(members(platform)) == 1
    assert _local("down").returncode == 0
    assert members(platform) == []


def test_down_does_not_wait_for_workers_of_a_killed_scheduler(tmp_path, platform, supervisor, fake):
    """They ignore signals, so `down` would wait until its limit."""
    command = [sys.executable, str(tmp_path / "worker.py")]
    worker = fake("worker", EXECUTOR_WORKER, environment=airflow.environment(platform))
    services = [dataclasses.replace(worker, command=lambda: command)]
    supervisor.launch(services)
    start(platform, supervisor, services)
    psutil.Process(supervisor.pid()).kill()
    wait_until(lambda: not supervisor.running(), "the supervisor to be gone", 10)
    assert _local("down").returncode == 0
    assert members(platform) == []


def test_status_shows_state_pid_and_log_of_every_service(platform):
    run = _local("status")
    assert run.returncode == 1
    assert "not healthy: postgres, kafka, " in run.stderr
    rows = {line.split()[0]: line.split() for line in run.stdout.splitlines()}
    assert rows["kafka"] == [
        "kafka",
        "stopped",
        "-",
        str(platform.port("KAFKA_PORT")),
        "-",
        f"{platform.logs}/kafka.log",
    ]
    assert {"service", "postgres", "registry", "flink-taskmanager", "airflow-scheduler", "all"} <= rows.keys()


def test_a_platform_that_is_being_stopped_is_reported(platform, supervisor, fake):
    services = [fake("stubborn", STUBBORN, stop_seconds=20)]
    supervisor.launch(services)
    start(platform, supervisor, services)
    supervisor.call("shutdown")
    run = _local("status")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "error: the platform is being stopped: wait for it, then make up\n"


def test_one_up_or_down_at_a_time(platform):
    with (platform.home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = _local("down")
    assert run.returncode == 1
    assert f"another up or down of {platform.home} is running" in run.stderr


def test_up_names_a_taken_port_and_starts_nothing(platform, supervisor, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        monkeypatch.setenv("KAFKA_PORT", str(port))
        run = _local("up")
    assert run.returncode == 1
    assert f"KAFKA_PORT={port} is held by pid {os.getpid()} (" in run.stderr
    assert "make up" in run.stderr
    assert not supervisor.running()
    assert not (platform.home / "supervisord.conf").exists()


def test_a_port_of_another_platform_is_named_with_its_folder(platform, supervisor, fake, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = f"import signal, socket\nsocket.create_server(('127.0.0.1', {port}))\nready()\nsignal.pause()\n"
    holder = [fake("kafka", code.replace("socket.create", "kept = socket.create"))]
    supervisor.launch(holder)
    start(platform, supervisor, holder)
    monkeypatch.setenv("KAFKA_PORT", str(port))
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "another"))
    run = _local("up")
    assert run.returncode == 1
    assert f"KAFKA_PORT={port} is held by kafka of the platform in {platform.home} (LAKEHOUSE_HOME=" in run.stderr


def test_a_refused_start_stores_nothing(tmp_path, monkeypatch):
    home = tmp_path / "not" / "there" / "yet"
    monkeypatch.setenv("LAKEHOUSE_HOME", str(home))
    monkeypatch.setenv("ALERTS_URL", "json://127.0.0.1/")
    with socket.create_server(("127.0.0.1", 0)) as held:
        monkeypatch.setenv("KAFKA_PORT", str(held.getsockname()[1]))
        assert "a port is in use" in _local("up").stderr
    assert not (tmp_path / "not").exists()
    monkeypatch.setenv("KAFKA_PORT", "many")
    assert "KAFKA_PORT=many is not a port" in _local("up").stderr
    monkeypatch.setenv("KAFKA_PORT", "")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "this machine lacks something" in _local("up").stderr
    assert not (tmp_path / "not").exists()


def test_a_folder_that_cannot_be_created_is_named(monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_HOME", "/proc/lakehouse")
    run = _local("up")
    assert run.returncode == 1
    assert run.stderr.startswith("error: /proc/lakehouse cannot be written to (")
    assert "Set LAKEHOUSE_HOME to a folder of yours" in run.stderr


@pytest.mark.parametrize(
    ("given", "shown"), [({"PORT_BASE": "28000"}, "PORT_BASE=28000"), ({"KAFKA_PORT": "20001"}, "KAFKA_PORT=20001")]
)
def test_clean_says_how_to_get_the_same_ports_again(home, monkeypatch, given, shown):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    config.create()
    for name in given:
        monkeypatch.delenv(name)
    assert f"To have these again: {shown} make up\n" in _local("clean", "--yes").stdout


@pytest.mark.parametrize("command", ["status", "env", "logs"])
def test_a_closed_pipe_is_not_an_error(platform, command):
    (platform.logs / "kafka.log").write_text("a line of a log\n" * 20_000)
    arguments = [command, *(["--lines", "20000"] if command == "logs" else [])]
    line = f"set -o pipefail; {shlex.join([sys.executable, '-m', 'local', *arguments])} | true"
    run = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) in {(0, ""), (1, "")} if command == "status" else (0, "")


@pytest.mark.parametrize("package", ["local", "demo"])
def test_an_interrupt_during_imports_shows_no_traceback(package):
    code = f"import {package}; raise KeyboardInterrupt"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (-signal.SIGINT, "")


def test_logs_are_followed_until_interrupted(platform):
    (platform.logs / "kafka.log").write_text("a line\n")
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import local.__main__ as l; l.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "logs", "--follow"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while "a line" not in process.stdout.readline():
        pass
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "")


def test_up_with_other_settings_is_refused_while_the_platform_runs(platform, supervisor, fake, monkeypatch):
    before = platform.env_file.read_text()
    supervisor.launch([fake("service")])
    monkeypatch.setenv("KAFKA_PORT", "20001")
    run = _local("up")
    assert run.returncode == 1
    assert "runs with settings other than KAFKA_PORT=20001" in run.stderr
    assert "make down first" in run.stderr
    assert platform.env_file.read_text() == before
