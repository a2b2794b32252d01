"""After a replay: trigger the DAG that builds Gold, if there is one."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException

from lakehouse.airflow.operators.replay import GoldTriggerOperator


@pytest.fixture
def trigger() -> GoldTriggerOperator:
    return GoldTriggerOperator(task_id="build_gold", pipeline="nyc_taxi")


def test_gold_is_built_from_the_new_tables(trigger):
    with pytest.raises(DagRunTriggerException) as raised:
        trigger.execute({"run_id": "manual__x"})
    triggered = raised.value
    assert (triggered.trigger_dag_id, triggered.dag_run_id, triggered.wait_for_completion) == (
        "nyc_taxi_pipeline",
        "replay__manual__x",
        False,
    )
    assert triggered.logical_date is not None
    assert triggered.reset_dag_run  # so that the task can be cleared


def test_a_pipeline_without_gold_has_nothing_to_build(trigger, taxi, monkeypatch):
    monkeypatch.setattr("lakehouse.pipelines.load.get_pipeline", lambda name: taxi.model_copy(update={"gold": None}))
    with pytest.raises(AirflowSkipException, match="nyc_taxi declares no Gold"):
        trigger.execute({"run_id": "manual__x"})
