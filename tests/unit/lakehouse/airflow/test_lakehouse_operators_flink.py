"""The sensor waits for the whole cluster; a pipeline's tables are created in one session, statement by statement."""

import re
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.operators import flink as operators
from lakehouse.airflow.operators.flink import (
    FlinkClusterSensor,
    FlinkJobOperator,
    FlinkJobStopOperator,
    FlinkTablesOperator,
)
from lakehouse.pipelines.load import DeclarationError
from lakehouse.streaming.job import Action


@pytest.fixture
def cluster(http, connect):
    """A JobManager with one TaskManager, and a SQL Gateway."""
    connect("flink_rest", port=http.server_port)
    connect("flink_sql_gateway", port=http.server_port)
    http["GET /overview"] = {"taskmanagers": 1}
    http["GET /v1/info"] = {"productName": "Apache Flink"}
    return http


@pytest.fixture
def sensor() -> FlinkClusterSensor:
    return FlinkClusterSensor(task_id="wait_for_cluster")


def test_the_cluster_is_there(cluster, sensor):
    assert sensor.poke({})


@pytest.mark.parametrize(
    ("request_", "answer"),
    [("GET /overview", {"taskmanagers": 0}), ("GET /overview", (503, {})), ("GET /v1/info", (404, {}))],
)
def test_a_part_is_missing(cluster, sensor, request_, answer):
    cluster[request_] = answer
    assert not sensor.poke({})


def test_nothing_is_there(sensor):
    assert not sensor.poke({})


@pytest.fixture
def gateway(cluster):
    """A SQL Gateway in which each statement succeeds, and a table has the columns that its statement declares."""
    cluster["POST /v1/sessions"] = {"sessionHandle": "s"}
    cluster["POST /v1/sessions/s/statements"] = {"operationHandle": "o"}
    cluster["GET /v1/sessions/s/operations/o/status"] = {"status": "FINISHED"}
    cluster["GET /v1/sessions/s/operations/o/result/0"] = {"resultType": "EOS"}
    cluster["DELETE /v1/sessions/s"] = {}
    return cluster


def test_the_tables_of_all_stages_are_created_in_one_session(gateway, taxi):
    assert FlinkTablesOperator(task_id="create_tables", pipeline="nyc_taxi").execute({}) == {}
    sent = [body["statement"] for _, path, body in gateway.requests if path.endswith("/statements")]
    created = [re.search(r"CREATE (?:CATALOG|DATABASE IF NOT EXISTS|TABLE IF NOT EXISTS) (\S+)", text) for text in sent]
    names = [found[1] for found in created if found]
    assert names[0] == "iceberg_catalog"
    assert names.count("iceberg_catalog") == 1
    assert set(names[1:]) == {f"iceberg_catalog.{name}" for name in ("bronze", "silver", *taxi.tables)}
    assert not [text for text in sent if text.startswith(("INSERT", "EXECUTE", "CREATE TABLE topic_"))]
    sessions = [method for method, path, _ in gateway.requests if path in ("/v1/sessions", "/v1/sessions/s")]
    assert sessions == ["POST", "DELETE"]


@pytest.mark.parametrize("operator", [FlinkJobOperator, FlinkJobStopOperator])
def test_a_job_that_is_not_declared_is_named_with_the_choices(operator):
    with pytest.raises(DeclarationError, match=r"no stage 'gold'\. Next: choose one of the jobs nyc_taxi\.bronze"):
        operator(task_id="x", job="nyc_taxi.gold").execute({})


class TestUpstreamFailures:
    @pytest.fixture
    def deploy(self, monkeypatch):
        """Run the task after two others that ended in these states; return the calls of its deployer."""
        asked: list[str] = []
        done = SimpleNamespace(as_dict=dict)
        deployer = SimpleNamespace(
            act=lambda action, path: asked.append(action) or done, repair=lambda: asked.append("repair") or done
        )
        monkeypatch.setattr(operators, "_deployer", lambda job: deployer)

        def deploy(first: str | None, second: str | None, **options: str) -> list[str]:
            with DAG("d", schedule=None):
                task = FlinkJobOperator(task_id="deploy", job="nyc_taxi.bronze", **options)
                [EmptyOperator(task_id="create_topic"), EmptyOperator(task_id="register_contract")] >> task
            states = {"create_topic": first, "register_contract": second}
            task.execute({"ti": SimpleNamespace(dag_id="d", run_id="r", get_task_states=lambda **_: {"r": states})})
            return asked

        return deploy

    def test_nothing(self, deploy):
        assert deploy("success", "success") == [Action.RECONCILE]

    def test_no_upstream_task_in_this_run(self, deploy):
        """As with `airflow tasks test`, which runs this task alone."""
        assert deploy(None, None) == [Action.RECONCILE]

    def test_a_job_is_only_repaired_not_changed(self, deploy):
        assert deploy("success", "failed") == ["repair"]

    def test_a_requested_action_is_not_performed(self, deploy):
        with pytest.raises(
            AirflowFailException, match=r"Action restart .* not performed, because create_topic failed\. Next: "
        ):
            deploy("upstream_failed", "success", action="restart")
