"""The questions to Airflow, and how its answers are interpreted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time import task_runner

from lakehouse.alerting.alerts import FailedTask
from lakehouse.alerting.control_plane import dag_files, is_settled, missing_tasks, succeeded_since

FAILED_AT = datetime(2026, 1, 2, 3, tzinfo=UTC)
DEPLOY = FailedTask(dag_id="flink_jobs", task_id="deploy", logical_date=FAILED_AT)


class Airflow:
    """The supervisor of a task, with the contents of the metadata database.

    :param successes: task and instance -> logical date of the run and end date of the success
    :param running: DAG id -> its latest run that has not succeeded
    :param states: run id -> states by task
    """

    def __init__(self) -> None:
        self.successes: dict[tuple[str, int], list[tuple[datetime, datetime]]] = {}
        self.running: dict[str, str] = {}
        self.states: dict[str, dict[str, str | None]] = {}

    def send(self, message):
        match message.type:
            case "GetPreviousTI":
                assert message.state == "success"
                found = self.successes.get((message.task_id, message.map_index), [])
                ended = [end for logical, end in sorted(found) if logical < message.logical_date]
                return SimpleNamespace(task_instance=SimpleNamespace(end_date=ended[-1]) if ended else None)
            case "GetPreviousDagRun":
                assert message.state == "running"
                run = self.running.get(message.dag_id)
                return SimpleNamespace(dag_run=run and SimpleNamespace(run_id=run))
            case "GetTaskStates":
                return SimpleNamespace(
                    task_states={run: self.states[run] for run in message.run_ids if run in self.states}
                )
            case "GetDRCount":
                assert message.states == ["queued", "running", "failed"]
                return SimpleNamespace(count=sum(run == self.running.get(message.dag_id) for run in message.run_ids))
        raise AssertionError(message)


@pytest.fixture
def airflow(monkeypatch) -> Airflow:
    airflow = Airflow()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
    return airflow


def minutes(number: float) -> datetime:
    """A time after the failure."""
    return FAILED_AT + timedelta(minutes=number)


def is_over(task: FailedTask = DEPLOY) -> bool:
    return succeeded_since(task, FAILED_AT.timestamp())


def test_a_success_before_the_failure_does_not_count(airflow):
    assert not is_over()
    airflow.successes["deploy", -1] = [(minutes(-10), minutes(-9))]
    assert not is_over()


def test_a_later_success_counts_however_few_are_left(airflow):
    """`airflow db clean` deletes old ones, so that there may be fewer than when the task failed."""
    airflow.successes["deploy", -1] = [(minutes(5), minutes(6))]
    assert is_over()


def test_a_success_of_the_cleared_task_counts_though_a_newer_run_has_an_older_success(airflow):
    airflow.successes["deploy", -1] = [(FAILED_AT, minutes(8)), (minutes(1), minutes(-2))]
    assert is_over()


def test_for_a_mapped_task_the_same_instance_must_succeed(airflow):
    airflow.successes["evaluate", 0] = airflow.successes["evaluate", -1] = [(minutes(5), minutes(6))]
    second = FailedTask(dag_id="platform_alerts", task_id="evaluate", map_index=1)
    assert not is_over(second)
    airflow.successes["evaluate", 1] = [(minutes(5), minutes(6))]
    assert is_over(second)


def test_a_run_is_settled_when_it_is_neither_failed_nor_running(airflow):
    assert is_settled("flink_jobs", "manual__1")
    airflow.running["flink_jobs"] = "manual__1"
    assert not is_settled("flink_jobs", "manual__1")


def test_a_run_that_has_its_tasks_can_finish(airflow):
    """An instance of a mapped task is called by its index; a task that has not started has no state."""
    assert missing_tasks("flink_jobs", {"wait", "deploy"}) is None
    airflow.running["flink_jobs"] = "scheduled__1"
    airflow.states["scheduled__1"] = {"wait": "success", "deploy_0": None, "deploy_1": None}
    assert missing_tasks("flink_jobs", {"wait", "deploy"}) is None


@pytest.mark.parametrize(("left", "lost"), [({}, "deploy, wait"), ({"deploy": None}, "wait")])
def test_a_run_that_lost_tasks_cannot_finish(airflow, left, lost):
    airflow.running["flink_jobs"] = "scheduled__1"
    airflow.states |= {"scheduled__1": left} if left else {}
    reason = missing_tasks("flink_jobs", {"wait", "deploy"})
    assert reason.startswith(f"run scheduled__1 of flink_jobs cannot finish: it has no records of {lost}, ")


def test_the_tasks_of_every_dag_are_found(tmp_path):
    tasks = "from airflow.sdk import DAG, task\nwith DAG('one'):\n    @task\n    def first(n): pass\n    first.expand(n=[1])\n"
    (tmp_path / "one.py").write_text(tasks)
    (tmp_path / "two.py").write_text(tasks.replace("'one'", "'two'"))
    (tmp_path / "broken.py").write_text("from airflow.sdk import DAG\nDAG(no_such=1)\n")
    found = dag_files(tmp_path)
    assert found.tasks == {"one": {"first"}, "two": {"first"}}
    assert found.errors.keys() == {"broken"}
    assert "no_such" in found.errors["broken"]
