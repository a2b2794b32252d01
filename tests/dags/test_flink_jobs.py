"""A requested action of `flink_jobs` only reaches the chosen job; scheduled runs have none."""

from types import SimpleNamespace

import pytest

from lakehouse.airflow.operators.flink import FlinkJobOperator
from lakehouse.airflow.triggers.flink import FlinkJobGoneTrigger
from lakehouse.pipelines.load import enabled_pipelines
from lakehouse.streaming.job import Action

JOBS = [stage.job for pipeline in enabled_pipelines() for stage in pipeline.stages.values()]


@pytest.fixture
def asked(dags):
    """Action and path of each deploy task, for the params of a run."""
    dag = dags["flink_jobs"]
    tasks = [task for task in dag.tasks if isinstance(task, FlinkJobOperator)]

    def asked(**params: str) -> dict[str, tuple[str, str]]:
        known = {**dag.params.dump(), **params}
        render = dag.get_template_env().from_string
        values = {
            task.job: [
                render(text).render(params=SimpleNamespace(**known), task=task)
                for text in (task.action, task.state_path)
            ]
            for task in tasks
        }
        return {job: (Action(action), path) for job, (action, path) in values.items()}

    return asked


def test_there_is_a_deploy_task_for_each_stage(dags):
    tasks = {task.task_id: task.job for task in dags["flink_jobs"].tasks if isinstance(task, FlinkJobOperator)}
    assert tasks == {job.replace(".", ".deploy_"): job for job in JOBS}


def test_a_schedule_reconciles_every_job(asked):
    assert asked() == dict.fromkeys(JOBS, (Action.RECONCILE, ""))


@pytest.mark.parametrize("action", list(Action))
def test_an_action_is_only_for_the_chosen_job(asked, action):
    others = dict.fromkeys(JOBS, (Action.RECONCILE, ""))
    assert asked(job="nyc_taxi.silver", action=action) == {**others, "nyc_taxi.silver": (action, "")}
    assert asked(job="all", action=action) == dict.fromkeys(JOBS, (action, ""))


def test_a_path_is_only_for_the_chosen_job(asked):
    found = asked(job="nyc_taxi.bronze", action="restart", state_path="s3://b/chk-7")
    others = dict.fromkeys(JOBS, (Action.RECONCILE, ""))
    assert found == {**others, "nyc_taxi.bronze": (Action.RESTART, "s3://b/chk-7")}


def test_the_form_offers_every_action(dags):
    params = dags["flink_jobs"].params
    assert params.get_param("action").schema["enum"] == [action.value for action in Action]
    assert params.get_param("job").schema["enum"] == ["all", *JOBS]


def test_a_missing_job_triggers_it(dags):
    (asset,) = dags["flink_jobs"].timetable.asset_condition.objects
    (watcher,) = asset.watchers
    assert isinstance(watcher.trigger, FlinkJobGoneTrigger)
    assert watcher.trigger.jobs == JOBS


def test_any_failure_fails_the_run(dags):
    """Airflow derives the state of a run from its last tasks; deployments continue although earlier tasks failed."""
    dag = dags["flink_jobs"]
    [leaf] = [task for task in dag.leaves if task.task_id == "nyc_taxi.check_health"]
    assert leaf.trigger_rule == "all_success"
    assert leaf.upstream_task_ids == {task.task_id for task in dag.tasks} - {"wait_for_cluster", leaf.task_id}
