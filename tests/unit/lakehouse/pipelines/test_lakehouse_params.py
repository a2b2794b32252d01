"""Parameters are declared once; the environment overrides the variable, which overrides the declaration."""

import json

import pytest

from lakehouse.pipelines.load import DeclarationError
from lakehouse.pipelines.params import parameters

FROM = "2024-01-01 00:00:00"


@pytest.fixture
def variable(monkeypatch):
    def variable(**params: object) -> None:
        monkeypatch.setenv("AIRFLOW_VAR_PIPELINE.NYC_TAXI", json.dumps(params))

    return variable


def test_the_declaration_is_the_default(taxi):
    assert parameters(taxi) == taxi.params
    assert parameters(taxi)["pickup_from"] == FROM


def test_the_variable_overrides_it(taxi, variable):
    variable(pickup_from="1990-01-01 00:00:00")
    assert parameters(taxi) == {**taxi.params, "pickup_from": "1990-01-01 00:00:00"}


def test_the_environment_overrides_both(taxi, variable, monkeypatch):
    variable(pickup_from="1990-01-01 00:00:00", pickup_to="2100-01-01 00:00:00")
    monkeypatch.setenv("PIPELINE_NYC_TAXI_PICKUP_FROM", "2020-01-01 00:00:00")
    monkeypatch.setenv("PIPELINE_NYC_TAXI_DEDUP_RETENTION", "")  # empty values are ignored
    found = parameters(taxi)
    assert (found["pickup_from"], found["pickup_to"]) == ("2020-01-01 00:00:00", "2100-01-01 00:00:00")
    assert found["dedup_retention"] == taxi.params["dedup_retention"]


def test_an_undeclared_parameter_is_refused(taxi, variable):
    variable(pickup="now")
    with pytest.raises(
        DeclarationError, match=r"pipeline\.nyc_taxi sets 'pickup', which nyc_taxi\.yaml does not declare"
    ):
        parameters(taxi)
