"""The settings file as Airflow finds it, leading nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def settings(load_settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in load_settings(ALERTS_URL="", LAKEHOUSE_HOME=tmp_path).environment().items():
        monkeypatch.setenv(name, value)
