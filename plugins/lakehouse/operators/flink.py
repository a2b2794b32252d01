"""Operators that bring Flink SQL to the cluster. All I/O is in the hooks and in `lakehouse.jobs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, BaseSensorOperator, Variable

from lakehouse.hooks.flink import FlinkError, FlinkRestHook, SqlGatewayHook

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


class FlinkSqlOperator(BaseOperator):
    """Runs a Flink SQL script statement by statement in one session of the SQL Gateway.

    :param sql: the script, or the name of a file on the DAG's template search path (templated)
    """

    template_fields: Sequence[str] = ("sql",)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar = {"sql": "sql"}

    def __init__(self, *, sql: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql = sql

    def execute(self, context: Context) -> None:
        from lakehouse.sql import statements

        with SqlGatewayHook().session({}) as session:
            for statement in statements(self.sql):
                session.execute(statement)


class FlinkJobOperator(BaseOperator):
    """Brings a streaming job to what its SQL declares, or does with it what a person asks. Returns what it found and did.

    :param job: the job's name
    :param sql: scripts or file names, run in this order in one session; the last statement starts the job (templated)
    :param kafka_sources: Flink table over the topic -> Iceberg table that keeps the partition and offset of each of its rows
    :param action: a value of `lakehouse.jobs.job.Action` (templated)
    :param state_path: checkpoint or savepoint to restart from (templated)
    """

    template_fields: Sequence[str] = ("sql", "action", "state_path")
    template_ext: Sequence[str] = (".sql",)

    def __init__(
        self,
        *,
        job: str,
        sql: list[str],
        kafka_sources: dict[str, str] | None = None,
        action: str = "reconcile",
        state_path: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.sql = sql
        self.kafka_sources = kafka_sources or {}
        self.action = action
        self.state_path = state_path

    def execute(self, context: Context) -> dict[str, Any]:
        from lakehouse.health import platform_flows
        from lakehouse.jobs.deployer import JobDeployer
        from lakehouse.jobs.job import Action, FlinkJob

        topic = Variable.get("taxi_topic")
        flow = next(flow for flow in platform_flows(topic) if flow.job == self.job)
        job = FlinkJob(
            name=self.job,
            script=";\n".join(self.sql),
            tables=flow.sinks,
            state_dir=Variable.get("flink_state_dir"),
            options=Variable.get("flink_job_options", deserialize_json=True),
            kafka_sources=self.kafka_sources,
            pending=flow.pending,
        )
        return JobDeployer(job, topic).act(Action(self.action), self.state_path or None).as_dict()
