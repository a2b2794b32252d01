"""What follows a replay: the DAG that builds Gold, where there is one."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException

from lakehouse.airflow.operators.replay import GoldTriggerOperator


@pytest.fixture
def trigger() -> GoldTriggerOperator:
    return GoldTriggerOperator(task_id="build_gold", pipeline="nyc_taxi")


def test_gold_is_built_from_the_new_tables(trigger):
    with pytest.raises(DagRunTriggerException) as asked:
        trigger.execute({"run_id": "manual__x"})
    said = asked.value
    assert (said.trigger_dag_id, said.dag_run_id, said.wait_for_completion) == (
        "nyc_taxi_pipeline",
        "replay__manual__x",
        False,
    )
    assert said.logical_date is not None
    assert said.reset_dag_run  # when the task is cleared


def test_a_pipeline_without_gold_has_nothing_to_build(trigger, taxi, monkeypatch):
    monkeypatch.setattr("lakehouse.pipelines.load.get_pipeline", lambda name: taxi.model_copy(update={"gold": None}))
    with pytest.raises(AirflowSkipException, match="nyc_taxi declares no Gold"):
        trigger.execute({"run_id": "manual__x"})
