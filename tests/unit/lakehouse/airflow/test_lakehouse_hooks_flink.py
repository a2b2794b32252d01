"""Flink's two REST APIs: the requests, and errors that a person can act on."""

from __future__ import annotations

import pytest

from lakehouse.airflow.hooks.flink import (
    FlinkError,
    FlinkJobRun,
    FlinkRestHook,
    FlinkSqlError,
    FlinkUnavailable,
    SqlGatewayHook,
)

TRACE = """org.apache.flink.util.FlinkException: Could not stop with a savepoint job "bronze".
\tat org.apache.flink.client.cli.CliFrontend.stop(CliFrontend.java:581)
Caused by: java.util.concurrent.ExecutionException: wrapped
\t... 4 more
Caused by: java.io.IOException: No space left on device
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)
"""


@pytest.fixture
def flink(http, connect):
    """A web server in place of the JobManager and the SQL Gateway."""
    connect("flink_rest", port=http.server_port)
    connect("flink_sql_gateway", port=http.server_port)
    return http


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        (FlinkRestHook, r"The Flink JobManager \(connection 'flink_rest'\)"),
        (SqlGatewayHook, r"The Flink SQL Gateway \(connection 'flink_sql_gateway'\)"),
    ],
)
def test_a_service_that_is_down_is_named_with_the_next_step(hook, name):
    with pytest.raises(FlinkUnavailable, match=f"^{name} cannot be reached: .*refused.*make status.*make up"):
        hook().call("GET", "overview")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"errors": ["Internal server error.", TRACE]}, "Caused by: java.io.IOException: No space left on device"),
        ({"errors": ["Oops.", "org.x.SqlException: bad\n\tat a.b\n"]}, "org.x.SqlException: bad"),
        ({"errors": ["Unable to load", "", None]}, "Unable to load"),
        ({"errors": []}, '{"errors": []}'),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
    ],
)
def test_an_error_carries_the_innermost_cause(flink, body, cause):
    flink["GET /overview"] = 500, body
    with pytest.raises(FlinkError) as error:
        FlinkRestHook().call("GET", "overview")
    assert str(error.value) == f"The Flink JobManager: GET overview returned 500: {cause}"


def test_an_empty_response_is_not_an_error(flink):
    flink["DELETE /v1/sessions/s"] = b""
    assert SqlGatewayHook().call("DELETE", "v1/sessions/s") == {}


def test_runs_of_a_job_by_name_newest_first(flink):
    job = {"name": "bronze", "jid": "a", "state": "CANCELED", "start-time": 1}
    others = [job | {"jid": "b", "start-time": 3, "state": "RESTARTING"}, job | {"jid": "c", "name": "silver"}]
    flink["GET /jobs/overview"] = {"jobs": [job, *others]}
    hook = FlinkRestHook()
    assert [run.job_id for run in hook.runs("bronze")] == ["b", "a"]
    assert hook.live_run("bronze") == FlinkJobRun("b", "bronze", "RESTARTING", 3)
    assert hook.live_run("silver") is None


@pytest.fixture
def operation(flink):
    """Have the JobManager run an asynchronous operation with a given result."""

    def ends(path: str, operation: dict) -> FlinkRestHook:
        states = iter([{"status": {"id": "IN_PROGRESS"}}, {"status": {"id": "COMPLETED"}, "operation": operation}])
        flink[f"GET {path}/t"] = lambda: next(states)
        return FlinkRestHook()

    for how in ("stop", "savepoints", "checkpoints"):
        flink[f"POST /jobs/a/{how}"] = {"request-id": "t"}
    return ends


def test_stop_waits_for_the_savepoint(flink, operation):
    hook = operation("/jobs/a/savepoints", {"location": "file:/savepoints/1"})
    assert hook.stop_with_savepoint("a", "file:///savepoints", 30) == "file:///savepoints/1"
    assert flink.requests[0] == ("POST", "/jobs/a/stop", {"targetDirectory": "file:///savepoints", "drain": False})


def test_a_savepoint_does_not_stop_the_job(flink, operation):
    hook = operation("/jobs/a/savepoints", {"location": "file:/savepoints/1"})
    assert hook.savepoint("a", "file:///savepoints", 30) == "file:///savepoints/1"
    asked = {"target-directory": "file:///savepoints", "cancel-job": False}
    assert flink.requests[0] == ("POST", "/jobs/a/savepoints", asked)


def test_a_checkpoint_is_taken_now(operation):
    assert operation("/jobs/a/checkpoints", {"checkpointId": 7}).checkpoint("a", 30) == 7


FAILURE = {"class": "x", "stack-trace": "java.io.IOException: full\n\tat a"}


def test_a_failed_savepoint_says_why(operation):
    hook = operation("/jobs/a/savepoints", {"failure-cause": FAILURE})
    with pytest.raises(FlinkError, match=r"Savepoint of Flink job a failed: java\.io\.IOException: full"):
        hook.stop_with_savepoint("a", "file:///savepoints", 30)


def test_a_failed_checkpoint_says_why(operation):
    """For example because not all tasks are running yet."""
    hook = operation("/jobs/a/checkpoints", {"failureCause": FAILURE})
    with pytest.raises(FlinkError, match=r"Checkpoint of Flink job a failed: java\.io\.IOException: full"):
        hook.checkpoint("a", 30)


def test_cancelling_keeps_the_state(flink):
    flink["PATCH /jobs/a?mode=cancel"] = {}
    FlinkRestHook().cancel("a")
    assert flink.requests == [("PATCH", "/jobs/a?mode=cancel", None)]


def test_failures_are_causes_newest_first(flink):
    entries = [{"stacktrace": TRACE}, {"stacktrace": "org.x.Oops: bad\n\tat a"}]
    flink["GET /jobs/a/exceptions?maxExceptions=20"] = {"exceptionHistory": {"entries": entries}}
    assert FlinkRestHook().failures("a") == [
        "Caused by: java.io.IOException: No space left on device",
        "org.x.Oops: bad",
    ]


@pytest.fixture
def gateway(flink):
    """A session in which one statement runs."""
    base = "/v1/sessions/s"
    flink["POST /v1/sessions"] = {"sessionHandle": "s"}
    flink[f"POST {base}/statements"] = {"operationHandle": "o"}
    flink[f"DELETE {base}"] = {}
    states = iter(["RUNNING", "FINISHED"])
    flink[f"GET {base}/operations/o/status"] = lambda: {"status": next(states)}
    return flink


def page(*values: int, kind: str = "PAYLOAD", to: int | None = None) -> dict:
    answer = {
        "resultType": kind,
        "results": {"data": [{"kind": "INSERT", "fields": [value]} for value in values]},
    }
    return answer if to is None else {**answer, "nextResultUri": f"/v1/sessions/s/operations/o/result/{to}"}


def test_a_statement_gives_the_rows_of_all_its_pages(gateway):
    results = "GET /v1/sessions/s/operations/o/result"
    gateway[f"{results}/0"] = {"resultType": "NOT_READY", "nextResultUri": "/v1/sessions/s/operations/o/result/0?again"}
    gateway[f"{results}/0?again"] = page(1, 2, to=1)
    gateway[f"{results}/1"] = page(3, to=2)
    gateway[f"{results}/2"] = page(kind="EOS")
    with SqlGatewayHook().session({"pipeline.name": "bronze"}) as session:
        assert session.execute("SELECT 1") == [[1], [2], [3]]
    assert gateway.requests[0] == ("POST", "/v1/sessions", {"properties": {"pipeline.name": "bronze"}})
    assert gateway.requests[1] == ("POST", "/v1/sessions/s/statements", {"statement": "SELECT 1"})
    assert gateway.requests[-1][:2] == ("DELETE", "/v1/sessions/s")


def test_a_query_gives_rows_by_the_names_of_their_columns(gateway):
    results = "GET /v1/sessions/s/operations/o/result"
    columns = {"columns": [{"name": "a"}, {"name": "b"}]}
    gateway[f"{results}/0"] = {"resultType": "NOT_READY", "nextResultUri": "/v1/sessions/s/operations/o/result/1"}
    gateway[f"{results}/1"] = {"resultType": "EOS", "results": {**columns, "data": [{"fields": [1, "x"]}]}}
    with SqlGatewayHook().session({}) as session:
        assert session.query("CALL p()") == [{"a": 1, "b": "x"}]


def test_a_statement_that_fails_is_named_without_its_secrets_and_the_session_is_closed(gateway):
    gateway["GET /v1/sessions/s/operations/o/status"] = {"status": "ERROR"}
    gateway["GET /v1/sessions/s/operations/o/result/0"] = 500, {"errors": ["Internal server error.", TRACE]}
    statement = "-- comment\n\nCREATE CATALOG c WITH (\n 'jdbc.password' = 'open sesame')"
    expected = (
        r"^SQL statement 'CREATE CATALOG c WITH \(' failed\. .*returned 500: Caused by: .*No space left on device$"
    )
    with pytest.raises(FlinkSqlError, match=expected) as error, SqlGatewayHook().session({}) as session:
        session.execute(statement)
    assert "sesame" not in str(error.value)
    assert gateway.requests[-1][:2] == ("DELETE", "/v1/sessions/s")


def test_a_statement_that_never_ends_times_out(gateway):
    gateway["GET /v1/sessions/s/operations/o/status"] = {"status": "RUNNING"}
    with (
        pytest.raises(TimeoutError, match=r"SQL statement 'SELECT 1': not within 0\.1 s"),
        SqlGatewayHook().session({}) as session,
    ):
        session.execute("SELECT 1", limit_s=0.1)
