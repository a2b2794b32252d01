"""A platform in the test's own folder, regardless of the shell's variables."""

from pathlib import Path

import pytest

from local import config
from local.config import Platform


@pytest.fixture(autouse=True)
def home(own_state_folder: Path) -> Path:
    """Its state folder, not created yet."""
    return own_state_folder


@pytest.fixture
def platform(home: Path) -> Platform:
    return config.create()
