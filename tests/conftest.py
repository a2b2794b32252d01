"""Configures a separate Airflow for tests before anything imports it: a temporary home, and no usable database."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

    from lakehouse.airflow.settings import AirflowSettings

ROOT = Path(__file__).parents[1]
PLATFORM = "tests/platform"

_home = tempfile.TemporaryDirectory(prefix="airflow-tests-")
os.environ |= {
    "AIRFLOW_HOME": _home.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # Nothing listens on port 1: opening the metadata database fails.
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody:no-password@127.0.0.1:1/none",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a database server, so that `make check` does not start one."""
    for item in items:
        if "database" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.service)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Tests of one file run in one process, and so do all tests that share a platform, which run first."""
    from xdist.scheduler import LoadScopeScheduling

    class ByPlatform(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return PLATFORM if file.rpartition("/")[0] == PLATFORM else file

    return ByPlatform(config, log)


class Nowhere(dict):
    """Values for all placeholders of `airflow_settings.yaml`: services on a port where nothing listens."""

    def __missing__(self, name: str) -> str:
        return "1" if name.endswith("_PORT") else f"no-{name}"


@pytest.fixture(scope="session")
def load_settings() -> Callable[..., AirflowSettings]:
    """Load the settings file with these placeholders, and with unusable values for the others."""
    from lakehouse.airflow import settings as airflow_settings

    def load(**placeholders: object) -> AirflowSettings:
        return airflow_settings.load(environment=Nowhere({name: str(value) for name, value in placeholders.items()}))

    return load


@pytest.fixture(scope="session")
def real_file() -> Path:
    """TLC's January 2024, its first 10,000 rows as CSV."""
    shared = ROOT.parent / "shared" / "data" / "yellow_tripdata_2024-01_first_10000.csv"
    path = Path(os.environ.get("LAKEHOUSE_TLC_FILE", shared))
    if not path.is_file():
        pytest.skip(f"TLC's file is not at {path}: set LAKEHOUSE_TLC_FILE to the first 10,000 rows of January 2024")
    return path


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in a time zone other than UTC."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of the test's own platform, regardless of the shell's variables; not created yet."""
    from local import config

    overridden = [name for name in os.environ if config.PARAMETER.fullmatch(name)]
    for name in ("PORT_BASE", *config.PORTS, *config.OPTIONS, *overridden):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "platform"))
    return tmp_path / "platform"


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment that nothing answers on, and nothing that is exempt from it."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
