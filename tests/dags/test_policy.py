"""Every DAG and task of the platform has an owner, tags, retries, limits and alerts."""

from datetime import timedelta

import pytest

from lakehouse.airflow.dag_policy import LONG_POOL, OWNER, Tag
from lakehouse.alerting.notifier import AlertNotifier
from local.config import ROOT, read_env


def each_wrong(dag, is_right) -> list[str]:
    return [task.task_id for task in dag.tasks if not is_right(task)]


def test_owner_is_the_platforms(dag):
    assert each_wrong(dag, lambda task: task.owner == OWNER) == []


def test_tags_come_from_the_enum(dag):
    assert dag.tags
    assert set(dag.tags) <= set(Tag)


def test_no_catchup_and_one_run_at_a_time(dag):
    assert (dag.catchup, dag.max_active_runs) == (False, 1)


def test_every_task_ends_within_a_limit(dag):
    assert each_wrong(dag, lambda task: task.execution_timeout) == []


def test_long_tasks_use_their_own_pool(dag):
    """Otherwise generators, audits and maintenance could occupy all slots for hours: no alerts, deployments or Gold."""
    assert each_wrong(dag, lambda task: task.pool == LONG_POOL or task.execution_timeout <= timedelta(minutes=30)) == []


def test_long_tasks_leave_slots_for_alerts_and_for_deployments(load_settings):
    slots = int(read_env(ROOT / "airflow.env")["AIRFLOW__CORE__PARALLELISM"])
    assert 1 <= load_settings().pools[LONG_POOL]["slots"] <= slots - 2


def test_tables_are_maintained_one_at_a_time(dags):
    assert dags["iceberg_maintenance"].max_active_tasks == 1


def test_scheduled_dags_have_retries(dag):
    """A DAG without a schedule may leave retries to the user, but must say so."""
    assert {"retries", "retry_delay"} <= dag.default_args.keys()
    assert each_wrong(dag, lambda task: (task.retries or dag.schedule is None) and task.retry_delay) == []


@pytest.mark.parametrize("event", ["retry", "failure"])
def test_every_task_alerts(dag, event):
    def alerts(task) -> bool:
        callbacks = getattr(task, f"on_{event}_callback")
        callbacks = (
            callbacks if isinstance(callbacks, list) else [callbacks]
        )  # for a mapped task it is the original argument
        return any(isinstance(one, AlertNotifier) and one.event == event for one in callbacks)

    assert each_wrong(dag, alerts) == []


def test_templates_are_strict(dag):
    """An unknown variable in a template is an error."""
    with pytest.raises(Exception, match="no_such_variable"):
        dag.get_template_env().from_string("{{ no_such_variable }}").render()


def test_the_pipelines_schedule(dags):
    pipeline = dags["nyc_taxi_pipeline"]
    assert pipeline.schedule.expression == "*/10 * * * *"
    assert each_wrong(pipeline, lambda t: (t.retries, t.retry_delay) == (2, timedelta(minutes=5))) == []
