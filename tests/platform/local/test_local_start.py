"""Starting services under a real supervisor: in order, once, and with the reason if one does not start."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lakehouse.waiting import wait_until
from local import start as limits
from local.config import PlatformError
from local.start import start

CRASH = "import sys\nprint('cannot read my settings', flush=True)\nsys.exit(3)\n"


def _pids(supervisor) -> dict[str, int]:
    return {name: info["pid"] for name, info in supervisor.info().items()}


def test_services_start_and_a_second_start_leaves_them_alone(platform, supervisor, fake, capsys):
    prepared: list[str] = []
    services = [fake(name, prepare=lambda name=name: prepared.append(name)) for name in ("a", "b")]
    supervisor.launch(services)
    assert {info["statename"] for info in supervisor.info().values()} == {"STOPPED"}

    start(platform, supervisor, services)
    pids = _pids(supervisor)
    assert all(psutil.pid_exists(pid) for pid in pids.values())
    assert sorted(prepared) == ["a", "b"]
    said = capsys.readouterr().out
    assert "a is healthy" in said
    assert "b is healthy" in said

    start(platform, supervisor, services)
    assert _pids(supervisor) == pids
    assert sorted(prepared) == ["a", "b"]


def test_a_service_is_prepared_when_those_that_it_needs_are_complete(platform, supervisor, fake):
    steps: list[str] = []
    answers = iter(["starts", "starts", None])

    def probe_of_store() -> str | None:
        answer = next(answers, None)
        steps.append(f"store {answer or 'healthy'}")
        return answer

    def complete_store() -> None:
        assert not user_prepared.wait(0.5), "the user was prepared too early"
        steps.append("store complete")

    user_prepared = threading.Event()
    user = fake("user", needs=("store",), prepare=user_prepared.set)
    store = fake("store", probe=probe_of_store, complete=complete_store)
    services = [user, store]
    supervisor.launch(services)
    start(platform, supervisor, services)
    assert steps == ["store starts", "store starts", "store healthy", "store complete"]
    assert user_prepared.is_set()


def test_a_start_that_was_interrupted_is_completed_by_the_next(platform, supervisor, fake):
    completed: list[str] = []
    services = [fake("store", complete=lambda: completed.append("store"))]
    supervisor.launch(services)
    supervisor.call("startProcess", "store", True)  # as far as the interrupted start got
    start(platform, supervisor, services)
    assert completed == ["store"]


def test_a_service_that_never_becomes_healthy_is_named_with_its_reason_and_its_log(
    platform, supervisor, fake, monkeypatch
):
    monkeypatch.setattr(limits, "LIMIT_S", 1.5)
    monkeypatch.setattr(limits, "LOG_LINES", 3)
    code = "import signal\nfor i in range(9): print('line', i, flush=True)\nsignal.pause()\n"
    slow = threading.Event()  # the limit of the services that wait for it expires while it is still being probed
    stuck = fake("stuck", code, probe=lambda: slow.wait(0.4) or "port 1234 does not answer yet")
    services = [fake("fine"), *(fake(f"waiting-{i}", needs=("stuck",)) for i in range(4)), stuck]
    supervisor.launch(services)
    with pytest.raises(PlatformError) as error:
        start(platform, supervisor, services)
    assert str(error.value) == (
        "stuck does not start: not healthy after 1.5 s: port 1234 does not answer yet\n"
        f"  last lines of {platform.logs}/stuck.log:\n    line 6\n    line 7\n    line 8"
    )


def test_a_service_that_keeps_stopping_is_named_with_its_log(platform, supervisor, fake, monkeypatch):
    monkeypatch.setattr(limits, "CRASH_LIMIT", 1)
    services = [fake("broken", CRASH, probe=lambda: "not yet")]
    supervisor.launch(services)
    with pytest.raises(PlatformError, match=r"broken does not start: it keeps stopping\n(?s:.*)\n    cannot read"):
        start(platform, supervisor, services)
    wait_until(lambda: supervisor.info()["broken"]["statename"] == "BACKOFF", "a pause between two of its tries", 10)
    with pytest.raises(PlatformError, match=r"broken does not start: (it keeps stopping|Exited too quickly)"):
        start(platform, supervisor, services)


def test_a_missing_program_is_reported_for_its_service(platform, supervisor, fake, monkeypatch):
    monkeypatch.setattr(limits, "CRASH_LIMIT", 1)
    service = fake("lost")
    services = [limits.Service(name="lost", command=lambda: ["/nowhere/bin/java"], port=None, probe=service.probe)]
    supervisor.launch(services)
    with pytest.raises(
        PlatformError, match=r"lost does not start: (?s:.*)lost\.log:(?s:.*)/nowhere/bin/java: not found"
    ):
        start(platform, supervisor, services)


@pytest.mark.parametrize("step", ["prepare", "complete"])
def test_a_failed_step_is_reported_for_its_service(platform, supervisor, fake, step):
    services = [fake("store", **{step: lambda: Path("/nowhere/initdb").read_bytes()}), fake("user", needs=("store",))]
    supervisor.launch(services)
    with pytest.raises(PlatformError, match=r"store does not start: .*No such file or directory: '/nowhere/initdb'"):
        start(platform, supervisor, services)


def test_a_supervisor_that_ends_is_reported(platform, supervisor, fake):
    services = [fake("service", probe=lambda: psutil.Process(supervisor.pid()).kill() or "not yet")]
    supervisor.launch(services)
    with pytest.raises(PlatformError, match=r"the supervisor does not answer .*supervisord.log"):
        start(platform, supervisor, services)


def test_a_service_that_the_running_supervisor_does_not_know_is_named(platform, supervisor, fake):
    """As after an update of the repository."""
    supervisor.launch([fake("old")])
    with pytest.raises(
        PlatformError, match="the running platform does not have newer, newest yet: make down, then make up"
    ):
        start(platform, supervisor, [fake("old"), fake("newest"), fake("newer")])


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C works even if the tests were started in the background, where processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.timeout(30, func_only=True)
def test_an_interrupt_ends_the_waiting_and_leaves_the_services(platform, supervisor, fake, monkeypatch, interruptible):
    monkeypatch.setattr(limits, "LIMIT_S", 600)
    interrupted = threading.Event()

    def probe() -> str:
        if not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
        return "not yet"

    services = [fake("slow", probe=probe)]
    supervisor.launch(services)
    with pytest.raises(KeyboardInterrupt):
        start(platform, supervisor, services)
    assert supervisor.info()["slow"]["statename"] in ("STARTING", "RUNNING")


def test_a_crashed_service_is_restarted(platform, supervisor, fake):
    services = [fake("service")]
    supervisor.launch(services)
    start(platform, supervisor, services)
    wait_until(lambda: supervisor.info()["service"]["statename"] == "RUNNING", "the service to be seen running", 10)
    first = _pids(supervisor)["service"]
    psutil.Process(first).kill()
    wait_until(lambda: _pids(supervisor)["service"] not in (0, first), "the service to be started again", 10)
