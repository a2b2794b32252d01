"""Samples of flights, and a copy of the repository in which pipelines can be generated from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lakehouse.gold import dbt, dictionary, manifest, sources
from lakehouse.paths import INCLUDE, REPOSITORY
from lakehouse.pipelines import script
from lakehouse.scaffold import write

#: A flight, and one that was cancelled.
FLIGHTS = [
    {
        "carrier": "UA", "flight": 1545, "tailNum": "N14228", "depDelay": 2, "airTime": 227.5,
        "time_hour": "2013-01-01T10:00:00Z",
    },
    {
        "carrier": "AA", "flight": 1141, "tailNum": None, "depDelay": None, "airTime": None,
        "time_hour": "2013-01-01T23:00:00-05:00",
    },
]  # fmt: skip


def use_include(patch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A copy of the repository's `include/`, in place of it."""
    include = folder / "include"
    shutil.copytree(INCLUDE, include, ignore=shutil.ignore_patterns("target", "logs"))
    (folder / "plugins").symlink_to(REPOSITORY / "plugins")  # dbt's profile loads the plugin from there
    patch.setattr(write, "INCLUDE", include)
    patch.setattr(script, "SQL", include / "sql")
    for module in (dbt, dictionary, manifest, sources):
        patch.setattr(module, "DBT", include / "dbt")
    return include
