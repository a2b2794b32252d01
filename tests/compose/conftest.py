"""The platform on containers, started once for all tests, with stand-ins for the official images, or with these."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from compose_project import BUILD_LIMIT_S, OFFICIAL, UP_LIMIT_S, Compose


@pytest.fixture(scope="session")
def compose() -> Iterator[Compose]:
    """The healthy platform; removed at the end, with its volumes."""
    compose = Compose()
    if not OFFICIAL:
        images = compose.run(sys.executable, "-m", "tests.compose.images", limit_s=BUILD_LIMIT_S)
        assert images.returncode == 0, images.stdout[-3000:] + images.stderr[-3000:]
    try:
        compose.make("compose-up", limit_s=UP_LIMIT_S)
        yield compose
    finally:
        compose("--profile", "*", "down", "--volumes")
