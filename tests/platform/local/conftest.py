"""A real supervisor with small stand-in services, in the test's own folder."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import config, start
from local.config import Platform, PlatformError
from local.services import Service
from local.supervision import Supervisor, family, members, stop

READY = "def ready():\n    open(__file__ + '.ready', 'w').close()\n"
IDLE = "import signal\nready()\nsignal.pause()\n"


@pytest.fixture(autouse=True)
def home(own_state_folder: Path) -> Path:
    """The platform's state folder, not created yet."""
    return own_state_folder


@pytest.fixture
def platform(home: Path) -> Platform:
    return config.create()


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Service]:
    """A service that is a small Python script; by default it is healthy once the script has called `ready()`."""

    def make(name: str, code: str = IDLE, **options: object) -> Service:
        script = tmp_path / f"{name}.py"
        script.write_text(READY + code)
        ready = tmp_path / f"{name}.py.ready"
        settings = {"port": None, "probe": lambda: None if ready.exists() else "starting", "stop_seconds": 2} | options
        return Service(name=name, command=lambda: [sys.executable, "-SI", str(script)], **settings)

    return make


@pytest.fixture
def supervisor(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """Not launched yet; stopped after the test."""
    monkeypatch.setattr(start, "LIMIT_S", 10)
    monkeypatch.setattr(start, "PROBE_EVERY_S", 0.05)
    supervisor = Supervisor(platform)
    yield supervisor
    supervised = []
    with contextlib.suppress(PlatformError):  # none was launched, or it is stopping
        supervised = family(supervisor.pid())
    stop([*supervised, *members(platform)], limit_s=0)
