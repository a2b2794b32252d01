"""Operators that deploy Flink SQL. All I/O is in the hooks and in `lakehouse.streaming`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.flink import FlinkError, FlinkRestHook, SqlGatewayHook
from lakehouse.streaming.job import Action

if TYPE_CHECKING:
    from airflow.sdk import Context


class FlinkClusterSensor(BaseSensorOperator):
    """Waits until the JobManager, a TaskManager and the SQL Gateway answer."""

    def poke(self, context: Context) -> bool:
        try:
            task_managers = FlinkRestHook().task_managers()
            SqlGatewayHook().call("GET", "v1/info")
        except FlinkError as error:
            self.log.info("Not yet: %s", error)
            return False
        self.log.info("The JobManager and the SQL Gateway answer, TaskManagers: %s", task_managers)
        return task_managers > 0


class FlinkTablesOperator(BaseOperator):
    """Creates the tables of a pipeline's stages, and adds columns that are new in the SQL to existing tables.

    Returns table -> names of the added columns.

    :param pipeline: name of the pipeline
    """

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Context) -> dict[str, list[str]]:
        from lakehouse.pipelines.load import get_pipeline
        from lakehouse.tables.evolve import create_tables

        added = create_tables(get_pipeline(self.pipeline))
        self.log.info("Columns added: %s", added or "none")
        return added


class FlinkJobOperator(BaseOperator):
    """Makes a stage's job match its declaration, or performs a requested action. Returns the `Deployment`.

    With the trigger rule `all_done`, a job that is gone is restored as it last ran even if an upstream task failed.

    :param job: name of the job, `<pipeline>.<stage>`
    :param action: a value of `lakehouse.streaming.job.Action` (templated)
    :param state_path: checkpoint or savepoint to restart from (templated)
    """

    template_fields: Sequence[str] = ("action", "state_path")

    def __init__(self, *, job: str, action: str = Action.RECONCILE, state_path: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.action = action
        self.state_path = state_path

    def execute(self, context: Context) -> dict[str, Any]:
        deployer = _deployer(self.job)
        if not (failed := self._failed_before(context)):
            return deployer.act(Action(self.action), self.state_path or None).as_dict()
        if self.action != Action.RECONCILE:
            raise AirflowFailException(
                f"Action {self.action} on Flink job {self.job} was not performed, because {', '.join(failed)} failed. Next: see "
                "the log of that task, then trigger the action again"
            )
        self.log.warning("%s failed: the job is only restored if it is gone, not changed", ", ".join(failed))
        return deployer.repair().as_dict()

    def _failed_before(self, context: Context) -> list[str]:
        """The upstream tasks that did not succeed; `airflow tasks test` runs none of them."""
        if not (instance := context.get("ti")):
            return []
        before = sorted(self.upstream_task_ids)
        states = instance.get_task_states(dag_id=instance.dag_id, task_ids=before, run_ids=[instance.run_id])
        of_run = states.get(instance.run_id, {})
        return [task for task in before if of_run.get(task) not in (None, "success")]


class FlinkJobStopOperator(BaseOperator):
    """Stops the job of a disabled pipeline with a savepoint. Returns the `Deployment`.

    :param job: name of the job, `<pipeline>.<stage>`
    """

    def __init__(self, *, job: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job

    def execute(self, context: Context) -> dict[str, Any]:
        return _deployer(self.job).stop().as_dict()


def _deployer(job: str) -> Any:
    from lakehouse.pipelines.load import get_stage
    from lakehouse.streaming.deployer import JobDeployer
    from lakehouse.streaming.stages import flink_job

    pipeline, stage = get_stage(job)
    return JobDeployer(flink_job(pipeline, stage), pipeline.topic.name)
