"""The generator's environment variables are those of the connection `kafka_generator`."""

from __future__ import annotations

import pytest
import yaml

from lakehouse.airflow.settings import SETTINGS_FILE
from taxi_generator.environment import KAFKA, environment_of, kafka_of

SETTINGS = {
    "bootstrap.servers": "kafka:9092",
    "sasl.username": "me",
    "sasl.password": "secret",
    "ssl.ca.location": "/ca",
}


def test_names_are_those_of_the_settings_file():
    declared = yaml.safe_load(SETTINGS_FILE.read_text())["airflow"]["connections"]
    extra = next(one["conn_extra"] for one in declared if one["conn_id"] == "kafka_default")
    named = {value.strip("${}").partition(":-")[0]: setting for setting, value in extra.items()}
    assert named == KAFKA


def test_settings_survive_the_way_through_the_environment():
    environment = environment_of(SETTINGS, "https://registry")
    assert environment["SCHEMA_REGISTRY_URL"] == "https://registry"
    assert kafka_of(environment) == SETTINGS


def test_empty_variables_count_as_missing():
    assert kafka_of({"KAFKA_PASSWORD": "", "PATH": "/bin"}) == {}


def test_a_setting_without_a_variable_is_refused():
    with pytest.raises(ValueError, match=r"linger\.ms cannot be set"):
        environment_of({"linger.ms": "1"}, "none")
