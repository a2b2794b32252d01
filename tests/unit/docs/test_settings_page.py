"""docs/settings.md lists every setting with its default, and none that there is not."""

from __future__ import annotations

import re

import pytest
import yaml

from lakehouse.paths import REPOSITORY
from lakehouse.streaming.health import Thresholds
from local import config

PAGE = (REPOSITORY / "docs" / "settings.md").read_text()
SETTINGS = yaml.safe_load((REPOSITORY / "airflow_settings.yaml").read_text())["airflow"]
VARIABLES = {entry["variable_name"]: entry["variable_value"] for entry in SETTINGS["variables"]}
STRUCTURES = {name: value for name, value in VARIABLES.items() if isinstance(value, dict)}
#: Documented, and in no file: how to call something of which there may be many.
PATTERNS = {"PIPELINE_<NAME>_<PARAM>", "pipeline.<name>"}


def rows(heading: str, kind: str = "setting") -> dict[str, str]:
    """Name -> default, or whatever the second column has, of a section's table; a row may name several."""
    section = re.split(r"\n##+ ", PAGE.split(f"# {heading}\n")[1])[0]
    table = section.split(f"| {kind} |")[1].split("\n\n")[0]
    cells = [line.split(" | ") for line in table.splitlines()[2:]]
    return {name: row[1].strip(" |`") for row in cells for name in re.findall(r"`([^`]+)`", row[0])}


def default(value: object) -> str:
    """A value of the settings file as the page shows it: a placeholder by its default."""
    return re.sub(r"\$\{\w+(?::-([^}]*))?\}", lambda found: found[1] or "", str(value)) or "none"


@pytest.mark.parametrize("variable", STRUCTURES)
def test_fields_of_a_variable(variable):
    found = rows(variable)
    optional = {"gold_age_s"} if variable == "health_thresholds" else set()
    assert found.keys() == STRUCTURES[variable].keys() | optional
    assert {name: found[name] for name in STRUCTURES[variable]} == {
        name: default(value) for name, value in STRUCTURES[variable].items()
    }


def test_thresholds_of_health_are_all_in_the_table():
    assert rows("health_thresholds").keys() == Thresholds.model_fields.keys()


def test_variables():
    assert {*rows("Airflow variables"), *re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)} - PATTERNS == VARIABLES.keys()
    assert rows("Airflow variables")["runbook_url"] == VARIABLES["runbook_url"]


def test_ports():
    assert rows("Environment of make up", "port") == {name: str(port) for name, port in config.PORTS.items()}


def test_the_environment():
    found = rows("Environment of make up")
    assert found.keys() - PATTERNS == {"LAKEHOUSE_HOME", "PORT_BASE", *config.OPTIONS, *config.OBJECT_STORE}
    assert found["LAKEHOUSE_WAREHOUSE"] == config.OPTIONS["LAKEHOUSE_WAREHOUSE"]


def test_pools():
    found = rows("Pools")
    pools = {entry["pool_name"]: entry["pool_slot"] for entry in SETTINGS["pools"]}
    assert found.keys() == pools.keys()
    assert found["long"] == str(pools["long"])


def test_connections():
    assert rows("Connections").keys() == {entry["conn_id"] for entry in SETTINGS["connections"]}


def test_containers():
    optional = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", (REPOSITORY / "docker-compose.yaml").read_text()))
    assert rows("Containers") == {name: value or "none" for name, value in optional.items()}


def test_the_airflow_setting_that_is_explained_is_the_one_in_force():
    value = config.read_env(REPOSITORY / "airflow.env")["AIRFLOW__CORE__PARALLELISM"]
    assert f"`AIRFLOW__CORE__PARALLELISM` ({value})" in PAGE
