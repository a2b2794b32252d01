"""The structure of each `<name>_pipeline`: nothing is published after a failed test, and each dbt model is a task."""

import json
from types import SimpleNamespace

import pytest
from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from lakehouse.gold.manifest import manifest_file
from lakehouse.gold.tasks import DbtModelResult
from lakehouse.pipelines.load import enabled_pipelines
from lakehouse.pipelines.model import Pipeline
from tests.dags.files import WITH_GOLD

BUILD = "gold.dbt_build"


@pytest.fixture(scope="module", params=WITH_GOLD, ids=lambda pipeline: pipeline.name)
def pipeline(request) -> Pipeline:
    return request.param


@pytest.fixture(scope="module")
def tasks(dags, pipeline):
    return dags[pipeline.dag_id].task_dict


@pytest.fixture(scope="module")
def models(pipeline) -> dict[str, dict]:
    """The models of the pipeline's manifest by their id."""
    nodes = json.loads(manifest_file(pipeline).read_text())["nodes"]
    return {key: node for key, node in nodes.items() if node["resource_type"] == "model"}


def test_health_decides_between_gold_and_the_alert(tasks):
    assert tasks["check_flink_health"].inherits_from_skipmixin  # branching means skipping
    assert tasks["check_flink_health"].downstream_task_ids == {"alert_flink_down", "prepare"}
    assert tasks["alert_flink_down"].downstream_task_ids == set()


def test_a_run_that_skips_gold_fails_and_sends_one_alert(tasks, monkeypatch):
    task, reasons = tasks["alert_flink_down"], ["Flink job x.y is FAILED", "the ledger is wrong"]
    context = {"ti": SimpleNamespace(xcom_pull=lambda task_id, key: reasons)}
    monkeypatch.setitem(task.python_callable.__globals__, "get_current_context", lambda: context)
    with pytest.raises(
        AirflowFailException, match=r"^Gold is held back: Flink job x\.y is FAILED; the ledger is wrong$"
    ):
        task.python_callable()
    alerts = task.on_failure_callback if isinstance(task.on_failure_callback, list) else [task.on_failure_callback]
    assert [(alert.rule, alert.until) for alert in alerts] == [("gold-held-back", "publish")]


@pytest.mark.parametrize("task_id", ["prepare", BUILD, "publish"])
def test_each_step_needs_the_one_before_it(tasks, task_id):
    before = {"prepare": "check_flink_health", BUILD: "prepare", "publish": BUILD}[task_id]
    assert before in tasks[task_id].upstream_task_ids
    assert tasks[task_id].trigger_rule == TriggerRule.ALL_SUCCESS


def test_only_one_dbt_task_runs_at_a_time(tasks, load_settings):
    running_dbt = [task for task in tasks.values() if type(task).__module__.startswith("cosmos.")]
    assert [task.task_id for task in running_dbt] == [BUILD]
    assert (tasks[BUILD].pool, tasks[BUILD].pool_slots) == ("dbt", 1)
    assert load_settings().pools["dbt"]["slots"] >= len(enabled_pipelines())


def test_it_builds_its_own_models_from_its_own_source(tasks, pipeline):
    assert tasks[BUILD].env["LAKEHOUSE_PIPELINE"] == pipeline.name
    assert tasks["prepare"].op_args == tasks["check_flink_health"].op_args == (pipeline.name,)
    assert tasks["publish"].op_args[0] == pipeline.name
    assert str(pipeline.dag_id) in str(tasks[BUILD].cache_dir)  # the parse results of another pipeline are useless


def test_each_model_is_one_task(tasks, models):
    shown = [task.model for task in tasks.values() if isinstance(task, DbtModelResult)]
    assert sorted(shown) == sorted(models)
    assert {f"gold.{model['name']}" for model in models.values()} <= tasks.keys()


def test_models_depend_on_each_other_as_in_dbt(tasks, models):
    task_ids = {key: f"gold.{model['name']}" for key, model in models.items()}
    for key, model in models.items():
        above = {task_ids[parent] for parent in model["depends_on"]["nodes"] if parent in models}
        assert tasks[task_ids[key]].upstream_task_ids == (above or {BUILD})


def test_models_also_show_a_failed_build(tasks, models):
    """A root model must run if the build failed, but not if it was skipped: ONE_DONE with one upstream task."""
    results = [tasks[f"gold.{model['name']}"] for model in models.values()]
    roots = [task for task in results if task.upstream_task_ids == {BUILD}]
    assert {task.trigger_rule for task in roots} == {TriggerRule.ONE_DONE}
    assert {task.trigger_rule for task in results if task not in roots} == {TriggerRule.ALL_SUCCESS}
