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
            taskmanagers = FlinkRestHook().call("GET", "overview")["taskmanagers"]
            SqlGatewayHook().call("GET", "v1/info")
        except FlinkError as error:
            self.log.info("Not yet: %s", error)
            return False
        self.log.info("The JobManager and the SQL Gateway answer, TaskManagers: %s", taskmanagers)
        return taskmanagers > 0


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
    """Brings a streaming job to what its SQL declares: started, upgraded or left alone. Returns what it did.

    :param job: the job's name
    :param sql: scripts or file names, run in this order in one session; the last statement starts the job (templated)
    :param sink: Iceberg table that tells a first start (empty) from a lost state (not empty)
    """

    template_fields: Sequence[str] = ("sql",)
    template_ext: Sequence[str] = (".sql",)

    def __init__(self, *, job: str, sql: list[str], sink: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.sql = sql
        self.sink = sink

    def execute(self, context: Context) -> dict[str, Any]:
        from lakehouse.jobs import FlinkJob, JobDeployer

        job = FlinkJob(
            name=self.job,
            script=";\n".join(self.sql),
            sink=self.sink,
            state_dir=Variable.get("flink_state_dir"),
            options=Variable.get("flink_job_options", deserialize_json=True),
        )
        return JobDeployer().deploy(job).as_dict()
