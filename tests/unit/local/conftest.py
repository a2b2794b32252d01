"""A platform in a folder of the test's own, whatever the shell has set."""

from pathlib import Path

import pytest

from local import config
from local.config import Platform


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its state folder, not made yet."""
    for name in ("PORT_BASE", *config.PORTS, *config.OPTIONS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "platform"))
    return tmp_path / "platform"


@pytest.fixture
def platform(home: Path) -> Platform:
    return config.create()
