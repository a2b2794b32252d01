"""An invalid variable is reported in one line that names it."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow import variables
from lakehouse.pipelines.load import get_pipeline
from lakehouse.pipelines.params import parameters
from lakehouse.streaming import operator_ids
from lakehouse.streaming.health import thresholds
from lakehouse.streaming.stages import job_options


@pytest.fixture
def set_variable(monkeypatch):
    return lambda name, text: monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", text)


def test_a_text_that_is_not_set(monkeypatch):
    monkeypatch.delenv("AIRFLOW_VAR_GOLD_DIR")
    with pytest.raises(AirflowException, match=r"The variable gold_dir is not set\. Next: declare it"):
        variables.text("gold_dir")


def test_a_value_that_is_not_json_is_reported_as_such(set_variable):
    set_variable("health_thresholds", "{lag: 5}")
    with pytest.raises(
        AirflowException, match=r"health_thresholds is not JSON: .*column 2.*It is '\{lag: 5\}'\. Next: "
    ):
        thresholds()


def test_every_invalid_key_is_named(set_variable):
    set_variable("health_thresholds", '{"lag": "many", "lagg": 1}')
    with pytest.raises(AirflowException) as refused:
        thresholds()
    message = str(refused.value)
    assert "lag: 'many': Input should be a valid integer" in message
    assert "lagg: unknown key" in message
    assert "restarts is missing" in message
    assert "\n" not in message


def test_job_options_are_text_as_flink_writes_it(set_variable):
    set_variable("flink_job_options", '{"parallelism.default": 2, "a.b": true, "c.d": "10 s"}')
    assert job_options() == {"parallelism.default": "2", "a.b": "true", "c.d": "10 s", **operator_ids.STABLE}
    for given in ("two", "0", "-1", "1.5"):
        set_variable("flink_job_options", json.dumps({"parallelism.default": given}))
        with pytest.raises(AirflowException, match=f"flink_job_options: .*{given}: it must be a whole number above 0"):
            job_options()
    set_variable("flink_job_options", '{"parallelism.default": [2]}')
    with pytest.raises(AirflowException, match=r"flink_job_options: parallelism\.default: \[2\]: "):
        job_options()


def test_parameters_are_an_object(set_variable):
    taxi = get_pipeline("nyc_taxi")
    declared = parameters(taxi)
    set_variable("pipeline.nyc_taxi", '["2024"]')
    with pytest.raises(
        AirflowException, match=r"The variable pipeline\.nyc_taxi: \['2024'\]: Input should be a valid dict"
    ):
        parameters(taxi)
    set_variable("pipeline.nyc_taxi", "{}")
    assert parameters(taxi) == declared
