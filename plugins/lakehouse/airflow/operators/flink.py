"""Operators that bring Flink SQL to the cluster. All I/O is in the hooks and in `lakehouse.streaming`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, BaseSensorOperator, Variable
from airflow.sdk.exceptions import AirflowSkipException

from lakehouse.airflow.hooks.flink import FlinkError, FlinkRestHook, SqlGatewayHook
from lakehouse.streaming.declared import JOBS
from lakehouse.streaming.job import Action, FlinkJob

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
    """Runs a Flink SQL script that creates tables, and adds to those that are there the columns that are new in it.

    Returns the names of the added columns by table.

    :param sql: the script, or the name of a file on the DAG's template search path (templated)
    """

    template_fields: Sequence[str] = ("sql",)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar = {"sql": "sql"}

    def __init__(self, *, sql: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql = sql

    def execute(self, context: Context) -> dict[str, list[str]]:
        from lakehouse.pipelines.statements import statements
        from lakehouse.tables.evolve import evolve

        script = statements(self.sql)
        with SqlGatewayHook().session({}) as session:
            for statement in script:
                session.execute(statement)
            added = evolve(session, script)
        self.log.info("Columns added: %s", added or "none")
        return added


class FlinkJobOperator(BaseOperator):
    """Brings a streaming job to what its SQL declares, or does with it what a person asks. Returns what it found and did.

    :param job: name of a job of `lakehouse.streaming.declared`, whose SQL is templated
    :param action: a value of `lakehouse.streaming.job.Action` (templated)
    :param state_path: checkpoint or savepoint to restart from (templated)
    """

    template_fields: Sequence[str] = ("sql", "reader_sql", "action", "state_path")
    template_ext: Sequence[str] = (".sql",)

    def __init__(self, *, job: str, action: str = Action.RECONCILE, state_path: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.sql = list(JOBS[job].sql)
        self.reader = JOBS[job].reader
        self.reader_sql = list(JOBS[self.reader].sql) if self.reader else []
        self.action = action
        self.state_path = state_path

    def declared(self) -> FlinkJob:
        """The job as its SQL and the settings declare it."""
        job = self._declared(self.job, self.sql)
        return replace(job, reader=self._declared(self.reader, self.reader_sql)) if self.reader else job

    def _declared(self, name: str, sql: list[str]) -> FlinkJob:
        from lakehouse.streaming.health import declared_flows

        flow = next(flow for flow in declared_flows() if flow.job == name)
        return FlinkJob(
            name=name,
            script=";\n".join(sql),
            tables=JOBS[name].tables,
            state_dir=Variable.get("flink_state_dir"),
            options=Variable.get("flink_job_options", deserialize_json=True),
            kafka_sources=JOBS[name].kafka_sources,
            pending=flow.pending,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        from lakehouse.streaming.deployer import JobDeployer

        deployer = JobDeployer(self.declared(), Variable.get("taxi_topic"))
        return deployer.act(Action(self.action), self.state_path or None).as_dict()


class FlinkReplayOperator(FlinkJobOperator):
    """Starts a job that builds its layer beside the live one, as the run's task `plan` says. Returns Flink's job id.

    :param keep: SQL that first brings along rows of the live tables, or the name of its file (templated)
    """

    template_fields: Sequence[str] = (*FlinkJobOperator.template_fields, "keep")

    def __init__(self, *, keep: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep = keep

    def execute(self, context: Context) -> str:
        from lakehouse.replay.plan import ReplayPlan
        from lakehouse.replay.rebuild import beside, start

        plan = ReplayPlan(**context["ti"].xcom_pull("plan"))
        if self.job not in plan.layers:
            raise AirflowSkipException(f"{self.job} stays as it is")
        return start(beside(self.declared(), plan), plan, self.keep)


class FlinkReplaySensor(BaseSensorOperator):
    """Waits until the tables of the run's `plan` have almost all rows; the switch waits for the last with the jobs at rest."""

    almost = 50_000  # rows

    def poke(self, context: Context) -> bool:
        from lakehouse.airflow.hooks.kafka import TopicHook
        from lakehouse.replay.plan import ReplayPlan
        from lakehouse.replay.rebuild import rows_behind

        behind = rows_behind(ReplayPlan(**context["ti"].xcom_pull("plan")), TopicHook(Variable.get("taxi_topic")))
        self.log.info("Rows behind: %s", behind)
        return max(behind.values()) < self.almost
