"""`airflow_settings.yaml` in Astro's format becomes what Airflow reads."""

import json
from pathlib import Path

import pytest
import yaml
from airflow.sdk import Connection, Variable

from lakehouse.airflow.settings import SETTINGS_FILE, SettingsError, load

FILE = """
airflow:
  connections:
    - conn_id: lake
      conn_type: http
      conn_host: ${HOST}
      conn_port: ${PORT}
      conn_login: somebody
      conn_password: "p@ss: $$ /?#"
      conn_schema: https
      conn_extra: {"a.b": [1, {"c": null}], "d": ["${HOST}"]}
    - conn_id: bare
      conn_type: generic
  pools:
    - {pool_name: one, pool_slot: 1, pool_description: One at a time}
  variables:
    - {variable_name: text, variable_value: "2024-01-01 00:00:00"}
    - {variable_name: number, variable_value: 7}
    - {variable_name: structure, variable_value: {limit: 1.5, names: [a, b]}}
"""


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    file = tmp_path / "airflow_settings.yaml"
    file.write_text(FILE)
    return file


@pytest.fixture
def settings(settings_file):
    return load(settings_file, {"HOST": "lake.example", "PORT": "8443"})


def test_entries_have_the_form_that_airflow_imports(settings):
    assert settings.connections["bare"] == {"conn_type": "generic"}
    assert settings.connections["lake"]["port"] == 8443
    assert settings.pools == {"one": {"slots": 1, "description": "One at a time", "include_deferred": False}}
    assert settings.variables["structure"] == {"limit": 1.5, "names": ["a", "b"]}


def test_airflow_finds_the_connections_in_the_environment(settings, monkeypatch):
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    lake = Connection.get("lake")
    assert (lake.conn_type, lake.host, lake.port, lake.schema) == ("http", "lake.example", 8443, "https")
    assert (lake.login, lake.password) == ("somebody", "p@ss: $ /?#")
    assert lake.extra_dejson == {"a.b": [1, {"c": None}], "d": ["lake.example"]}
    assert Connection.get("bare").host is None


def test_airflow_finds_the_variables_in_the_environment(settings, monkeypatch):
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Variable.get("text") == "2024-01-01 00:00:00"
    assert Variable.get("number") == "7"
    assert Variable.get("structure", deserialize_json=True) == {"limit": 1.5, "names": ["a", "b"]}


@pytest.mark.parametrize("value", ["12345678", "a #b", "a: b", "'\"\\", "{x}", "", "null", "$HOST"])
def test_a_value_reaches_airflow_unchanged(settings_file, monkeypatch, value):
    settings = load(settings_file, {"HOST": value, "PORT": "1"})
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", settings.environment()["AIRFLOW_CONN_LAKE"])
    assert Connection.get("lake").extra_dejson["d"] == [value]


@pytest.mark.parametrize(
    ("environment", "host"),
    [({}, "localhost"), ({"HOST": ""}, "localhost"), ({"HOST": "lake.example"}, "lake.example")],
)
def test_a_default_applies_if_there_is_no_value(settings_file, environment, host):
    settings_file.write_text(
        FILE.replace("conn_host: ${HOST}", "conn_host: ${HOST:-localhost}").replace('["${HOST}"]', "1")
    )
    assert load(settings_file, environment | {"PORT": "1"}).connections["lake"]["host"] == host


def test_an_extra_that_becomes_empty_is_left_out(settings_file):
    settings_file.write_text(FILE.replace('"d": ["${HOST}"]', '"d": "${NO:-}", "e": {"f": "${NO:-}"}'))
    extra = load(settings_file, {"HOST": "h", "PORT": "1"}).connections["lake"]["extra"]
    assert extra == {"a.b": [1, {"c": None}], "e": {"f": ""}}
    settings_file.write_text(FILE.replace('{"a.b": [1, {"c": null}], "d": ["${HOST}"]}', '{"d": "${NO:-}"}'))
    assert "extra" not in load(settings_file, {"HOST": "h", "PORT": "1"}).connections["lake"]


def test_a_placeholder_that_is_not_set_is_named(settings_file):
    with pytest.raises(SettingsError, match=r"airflow_settings\.yaml: 'PORT' is not set.*make up"):
        load(settings_file, {"HOST": "lake.example"})


@pytest.mark.parametrize("field", ["conn_id", "conn_type", "pool_slot", "variable_value"])
def test_an_entry_without_a_field_it_needs_is_an_error(settings_file, field):
    settings_file.write_text(FILE.replace(field, "other"))
    with pytest.raises(SettingsError, match=f"'{field}' is not set.*Astro's format"):
        load(settings_file, {"HOST": "h", "PORT": "1"})


def test_the_projects_own_file_follows_astros_format(load_settings):
    """Astro ignores unknown fields, so a misspelt one would be lost there."""
    declared = yaml.safe_load(SETTINGS_FILE.read_text())
    assert declared.keys() == {"airflow"}
    fields = {kind: {field for entry in entries for field in entry} for kind, entries in declared["airflow"].items()}
    names = ("id", "type", "host", "schema", "login", "password", "port", "uri", "extra")
    assert fields["connections"] <= {f"conn_{name}" for name in names}
    assert fields["pools"] <= {"pool_name", "pool_slot", "pool_description"}
    assert fields["variables"] <= {"variable_name", "variable_value"}


def test_no_name_is_declared_twice_in_the_projects_own_file(load_settings):
    declared = yaml.safe_load(SETTINGS_FILE.read_text())["airflow"]
    for kind, entries in declared.items():
        assert len(getattr(load_settings(), kind)) == len(entries), kind


def test_the_projects_own_file_contains_no_password():
    for connection in yaml.safe_load(SETTINGS_FILE.read_text())["airflow"]["connections"]:
        assert connection.get("conn_password", "${}").startswith("${"), connection["conn_id"]
        for name, value in connection.get("conn_extra", {}).items():
            assert "password" not in json.dumps([name, value]).lower() or value.startswith("${"), connection["conn_id"]
