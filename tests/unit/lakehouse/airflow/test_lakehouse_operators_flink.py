"""The sensor waits for all three parts of the cluster; SQL goes to one session, statement by statement."""

import pytest

from lakehouse.airflow.operators.flink import FlinkClusterSensor, FlinkTablesOperator


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


def test_a_script_runs_in_one_session(cluster):
    cluster["POST /v1/sessions"] = {"sessionHandle": "s"}
    cluster["POST /v1/sessions/s/statements"] = {"operationHandle": "o"}
    cluster["GET /v1/sessions/s/operations/o/status"] = {"status": "FINISHED"}
    cluster["GET /v1/sessions/s/operations/o/result/0"] = {"resultType": "EOS"}
    cluster["DELETE /v1/sessions/s"] = {}
    assert FlinkTablesOperator(task_id="create_tables", sql="CREATE TABLE a; CREATE TABLE b").execute({}) == {}
    sent = [body["statement"] for _, path, body in cluster.asked if path.endswith("/statements")]
    assert sent == ["CREATE TABLE a", "CREATE TABLE b"]
    assert [method for method, path, _ in cluster.asked if path.startswith("/v1/sessions") and path.count("/") < 4] == [
        "POST",
        "DELETE",
    ]
