"""Flink's two REST APIs: the JobManager's, and the SQL Gateway's.

References: https://nightlies.apache.org/flink/flink-docs-release-2.1/docs/ops/rest_api/ and
https://nightlies.apache.org/flink/flink-docs-release-2.1/docs/dev/table/sql-gateway/rest/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow.providers.http.hooks.http import HttpHook
from requests import RequestException, Response, Session

from lakehouse.airflow.hooks.unavailable import ServiceUnavailable
from lakehouse.proxies import pass_by
from lakehouse.storage import stored
from lakehouse.waiting import wait_until

REQUEST_TIMEOUT_S = 30
TERMINAL_STATES = frozenset({"FINISHED", "CANCELED", "FAILED", "SUSPENDED"})


class FlinkError(RuntimeError):
    """Flink rejected a request or could not be reached; the message contains the request and Flink's answer."""


class FlinkUnavailable(FlinkError, ServiceUnavailable):
    """A Flink service could not be reached, or no longer knows the job: the job's state is unknown."""


class FlinkSqlError(FlinkError):
    """A statement was accepted, but failed."""


class _FlinkHttpHook(HttpHook):
    """A keep-alive session to one of Flink's REST APIs; errors contain Flink's own message."""

    component = "Flink"

    @cached_property
    def _session(self) -> Session:
        pass_by(self.get_connection(self.http_conn_id).host)
        return self.get_conn()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request and return the decoded JSON response (`{}` for an empty one).

        :raises FlinkUnavailable: the service cannot be reached
        :raises FlinkError: any status but 2xx
        """
        try:
            session = self._session
            url = self.url_from_endpoint(path)
            response = session.request(method, url, json=body, timeout=REQUEST_TIMEOUT_S)
        except RequestException as error:
            raise FlinkUnavailable.of(self.component, self.http_conn_id, error, "cannot be reached") from error
        if not response.ok:
            raise FlinkError(f"{self.component}: {method} {path} returned {response.status_code}: {_reason(response)}")
        return response.json() if response.content else {}


def _reason(response: Response) -> str:
    try:
        errors = [text for text in response.json()["errors"] if text]
    except (ValueError, LookupError, TypeError):
        return response.text[:500]
    return _cause("\n".join(errors)) or response.text[:500]


def _cause(trace: str) -> str:
    """The root cause in a Java stack trace: its last "Caused by"."""
    lines = [line.strip() for line in trace.splitlines() if line.strip() and not line.startswith("\tat ")]
    causes = (
        [line for line in lines if line.startswith("Caused by:")]
        or [line for line in lines if "Exception" in line]
        or lines
    )
    return causes[-1][:1000] if causes else ""


@dataclass(frozen=True)
class FlinkJobRun:
    """One run of a job, as the JobManager lists it.

    :param state: a state of Flink's JobStatus, e.g. RUNNING or RESTARTING
    :param started_ms: start time, epoch milliseconds
    """

    job_id: str
    name: str
    state: str
    started_ms: int

    @property
    def live(self) -> bool:
        return self.state not in TERMINAL_STATES


class FlinkRestHook(_FlinkHttpHook):
    """The JobManager's REST API."""

    component = "The Flink JobManager"

    def __init__(self, flink_conn_id: str = "flink_rest") -> None:
        super().__init__(http_conn_id=flink_conn_id)

    def all_runs(self) -> list[FlinkJobRun]:
        """Every run of every job that the cluster still knows, newest first."""
        jobs = self.call("GET", "jobs/overview")["jobs"]
        runs = [FlinkJobRun(job["jid"], job["name"], job["state"], job["start-time"]) for job in jobs]
        return sorted(runs, key=lambda run: run.started_ms, reverse=True)

    def runs(self, name: str) -> list[FlinkJobRun]:
        """Every run of the job `name`, newest first."""
        return [run for run in self.all_runs() if run.name == name]

    def live_run(self, name: str) -> FlinkJobRun | None:
        """The run of the job `name` that has not ended, if any."""
        return next((run for run in self.runs(name) if run.live), None)

    def state(self, job_id: str) -> str:
        return self.call("GET", f"jobs/{job_id}/status")["status"]

    def parameters(self, job_id: str) -> dict[str, str]:
        """The job's global parameters, as submitted in `pipeline.global-job-parameters`."""
        return self.call("GET", f"jobs/{job_id}/config").get("execution-config", {}).get("user-config", {})

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        """Checkpoint statistics: `counts`, `latest`, `history`, `summary`."""
        return self.call("GET", f"jobs/{job_id}/checkpoints")

    def metric(self, job_id: str, name: str) -> float:
        """One metric of the job; NaN while Flink has no value."""
        values = self.call("GET", f"jobs/{job_id}/metrics?get={name}")
        return float(values[0]["value"]) if values else float("nan")

    def failures(self, job_id: str) -> list[str]:
        """Root causes of the job's latest failures, newest first."""
        return [_cause(failure["stacktrace"]) for failure in self.exceptions(job_id)]

    def exceptions(self, job_id: str) -> list[dict[str, Any]]:
        """The job's latest failures, newest first: `timestamp` (epoch ms), `exceptionName`, `stacktrace`."""
        return self.call("GET", f"jobs/{job_id}/exceptions?maxExceptions=20")["exceptionHistory"]["entries"]

    def task_managers(self) -> int:
        """Number of registered TaskManagers."""
        return self.call("GET", "overview")["taskmanagers"]

    def slots(self) -> int:
        """Number of task slots in the cluster; 0 while no TaskManager is registered."""
        return self.call("GET", "overview")["slots-total"]

    def free_slots(self) -> int:
        """Number of free task slots; 0 while no TaskManager is registered."""
        return self.call("GET", "overview")["slots-available"]

    def stop_with_savepoint(self, job_id: str, target: str, limit_s: float) -> str:
        """Take a savepoint under `target`, stop the job, and return the savepoint's path.

        :raises FlinkError: Flink could not take the savepoint; the job keeps running
        :raises TimeoutError: no savepoint within the limit; Flink may still complete it
        """
        return self._take_savepoint(job_id, "stop", {"targetDirectory": target, "drain": False}, limit_s)

    def savepoint(self, job_id: str, target: str, limit_s: float) -> str:
        """Take a savepoint under `target` while the job keeps running, and return its path. Errors as above."""
        return self._take_savepoint(job_id, "savepoints", {"target-directory": target, "cancel-job": False}, limit_s)

    def _take_savepoint(self, job_id: str, how: str, body: Mapping[str, Any], limit_s: float) -> str:
        trigger = self.call("POST", f"jobs/{job_id}/{how}", body)["request-id"]
        taken = self._await(f"jobs/{job_id}/savepoints/{trigger}", f"Savepoint of Flink job {job_id}", limit_s)
        return str(stored(taken["location"]))  # Flink writes file:/path, everything else file:///path

    def checkpoint(self, job_id: str, limit_s: float) -> int:
        """Take a checkpoint now instead of at the next interval, and return its id.

        :raises FlinkError: the checkpoint failed
        """
        trigger = self.call("POST", f"jobs/{job_id}/checkpoints", {})["request-id"]
        return self._await(f"jobs/{job_id}/checkpoints/{trigger}", f"Checkpoint of Flink job {job_id}", limit_s)[
            "checkpointId"
        ]

    def cancel(self, job_id: str) -> None:
        """Cancel the job; its retained checkpoints are kept."""
        self.call("PATCH", f"jobs/{job_id}?mode=cancel")

    def _await(self, path: str, what: str, limit_s: float) -> dict[str, Any]:
        """The result of one of Flink's asynchronous operations."""

        def finished() -> dict[str, Any] | None:
            answer = self.call("GET", path)
            return answer["operation"] if answer["status"]["id"] == "COMPLETED" else None

        operation = wait_until(finished, what, limit_s)
        # The first is the key for savepoints, the second for checkpoints.
        if failure := operation.get("failure-cause") or operation.get("failureCause"):
            raise FlinkError(f"{what} failed: {_cause(str(failure.get('stack-trace')))}")
        return operation

    def backpressure_percent(self, job_id: str) -> float | None:
        """Share of time (0 to 100) that the job's most backpressured subtask was blocked by its downstream operators.

        None while Flink has no value yet. Flink collects metrics on demand: the value is that of the previous request.
        """
        metric = "subtasks/metrics?get=backPressuredTimeMsPerSecond&agg=max"
        vertices = [vertex["id"] for vertex in self.call("GET", f"jobs/{job_id}")["vertices"]]
        answers = [self.call("GET", f"jobs/{job_id}/vertices/{vertex}/{metric}") for vertex in vertices]
        return max((found["max"] / 10 for answer in answers for found in answer), default=None)


class SqlGatewayHook(_FlinkHttpHook):
    """The SQL Gateway's REST API: statements in a session."""

    component = "The Flink SQL Gateway"

    def __init__(self, gateway_conn_id: str = "flink_sql_gateway") -> None:
        super().__init__(http_conn_id=gateway_conn_id)

    @contextmanager
    def session(self, properties: Mapping[str, str]) -> Iterator[SqlSession]:
        """A session with the given Flink options, closed at the end; the jobs that it submitted keep running."""
        handle = self.call("POST", "v1/sessions", {"properties": dict(properties)})["sessionHandle"]
        try:
            yield SqlSession(self, handle)
        finally:
            self.call("DELETE", f"v1/sessions/{handle}")


@dataclass(frozen=True)
class SqlSession:
    """An open session of the SQL Gateway."""

    gateway: SqlGatewayHook
    handle: str

    def execute(self, statement: str, limit_s: float = 120) -> list[list[Any]]:
        """Run one statement to completion and return its rows, each a list of values.

        An INSERT or STATEMENT SET of a streaming job completes when the job is submitted; its only row holds the job id.

        :raises FlinkSqlError: the statement failed; the message has its first line and Flink's root cause
        """
        return [values for page in self._pages(statement, limit_s) for values in _values(page)]

    def query(self, statement: str, limit_s: float = 120) -> list[dict[str, Any]]:
        """Run one statement to completion and return its rows as column -> value. Errors as in `execute`."""
        return [
            dict(zip([column["name"] for column in page["results"]["columns"]], values, strict=True))
            for page in self._pages(statement, limit_s)
            for values in _values(page)
        ]

    def _pages(self, statement: str, limit_s: float) -> list[dict[str, Any]]:
        base = f"v1/sessions/{self.handle}"
        operation = self.gateway.call("POST", f"{base}/statements", {"statement": statement})["operationHandle"]
        what = f"SQL statement {_headline(statement)!r}"

        def ended() -> str | None:
            status = self.gateway.call("GET", f"{base}/operations/{operation}/status")["status"]
            return status if status in {"FINISHED", "ERROR", "CANCELED", "CLOSED", "TIMEOUT"} else None

        status = wait_until(ended, what, limit_s)
        pages: list[dict[str, Any]] = []
        path: str | None = f"{base}/operations/{operation}/result/0"
        try:
            while path:
                page = self.gateway.call("GET", path)
                pages.append(page)
                path = page["nextResultUri"].lstrip("/") if page.get("resultType") != "EOS" else None
        except FlinkError as error:
            raise (FlinkSqlError if status == "ERROR" else type(error))(f"{what} failed. {error}") from error
        return pages


def _values(page: Mapping[str, Any]) -> list[list[Any]]:
    return [row["fields"] for row in page.get("results", {}).get("data", [])]


def _headline(statement: str) -> str:
    """The first line of a statement that is not a comment: identifies it in a message without its secrets."""
    lines = (line.strip() for line in statement.splitlines())
    return next((line for line in lines if line and not line.startswith("--")), "")[:80]
