"""The sensor waits for all of the cluster; what a pipeline declares goes to one session, statement by statement."""

import re

import pytest

from lakehouse.airflow.operators.flink import (
    FlinkClusterSensor,
    FlinkJobOperator,
    FlinkJobStopOperator,
    FlinkTablesOperator,
)
from lakehouse.pipelines.load import DeclarationError


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
    sent = [body["statement"] for _, path, body in gateway.asked if path.endswith("/statements")]
    created = [re.search(r"CREATE (?:CATALOG|DATABASE IF NOT EXISTS|TABLE IF NOT EXISTS) (\S+)", text) for text in sent]
    names = [found[1] for found in created if found]
    assert names[0] == "iceberg_catalog"
    assert names.count("iceberg_catalog") == 1
    assert set(names[1:]) == {f"iceberg_catalog.{name}" for name in ("bronze", "silver", *taxi.tables)}
    assert not [text for text in sent if text.startswith(("INSERT", "EXECUTE", "CREATE TABLE topic_"))]
    sessions = [method for method, path, _ in gateway.asked if path in ("/v1/sessions", "/v1/sessions/s")]
    assert sessions == ["POST", "DELETE"]


@pytest.mark.parametrize("operator", [FlinkJobOperator, FlinkJobStopOperator])
def test_a_job_that_is_not_declared_is_named_with_the_choices(operator):
    with pytest.raises(DeclarationError, match=r"no stage 'gold'\. Next: give one of the jobs nyc_taxi\.bronze"):
        operator(task_id="x", job="nyc_taxi.gold").execute({})
