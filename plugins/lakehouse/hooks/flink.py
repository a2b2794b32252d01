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

from lakehouse.waiting import wait_until

REQUEST_TIMEOUT_S = 30
TERMINAL_STATES = frozenset({"FINISHED", "CANCELED", "FAILED", "SUSPENDED"})


class FlinkError(RuntimeError):
    """Flink refused a request or could not be reached; the message says which request, and what Flink answered."""


class _FlinkHttpHook(HttpHook):
    """One kept-alive session to a REST API of Flink; errors carry Flink's own words."""

    component = "Flink"

    @cached_property
    def _session(self) -> Session:
        return self.get_conn()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request and return the decoded JSON answer (`{}` for an empty one).

        :raises FlinkError: not reachable, or any answer but 2xx
        """
        try:
            session = self._session
            url = self.url_from_endpoint(path)
            response = session.request(method, url, json=body, timeout=REQUEST_TIMEOUT_S)
        except RequestException as error:
            raise FlinkError(
                f"{self.component} (connection {self.http_conn_id!r}) cannot be reached: {error}. "
                "Is it running? `make status` shows each part, `make up` starts what is missing."
            ) from error
        if not response.ok:
            raise FlinkError(f"{self.component}: {method} {path} gave {response.status_code}: {_reason(response)}")
        return response.json() if response.content else {}


def _reason(response: Response) -> str:
    """The innermost cause that Flink names: the last "Caused by" of its stack trace."""
    try:
        errors = [text for text in response.json()["errors"] if text]
    except (ValueError, LookupError, TypeError):
        return response.text[:500]
    lines = [line.strip() for text in errors for line in text.splitlines() if line.strip()]
    causes = (
        [line for line in lines if line.startswith("Caused by:")]
        or [line for line in lines if "Exception" in line]
        or lines
    )
    return (causes[-1] if causes else response.text)[:1000]


@dataclass(frozen=True)
class FlinkJobRun:
    """One job of the cluster as the JobManager lists it.

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

    def runs(self, name: str) -> list[FlinkJobRun]:
        """Every run of the job `name` that the cluster remembers, newest first."""
        jobs = self.call("GET", "jobs/overview")["jobs"]
        runs = [FlinkJobRun(j["jid"], j["name"], j["state"], j["start-time"]) for j in jobs if j["name"] == name]
        return sorted(runs, key=lambda run: run.started_ms, reverse=True)

    def live_run(self, name: str) -> FlinkJobRun | None:
        """The run of the job `name` that has not ended, if any."""
        return next((run for run in self.runs(name) if run.live), None)

    def state(self, job_id: str) -> str:
        return self.call("GET", f"jobs/{job_id}/status")["status"]

    def parameters(self, job_id: str) -> dict[str, str]:
        """The job's global parameters: what its submitter wrote into `pipeline.global-job-parameters`."""
        return self.call("GET", f"jobs/{job_id}/config").get("execution-config", {}).get("user-config", {})

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        """Checkpoint statistics: `counts`, `latest`, `history`, `summary`."""
        return self.call("GET", f"jobs/{job_id}/checkpoints")

    def metric(self, job_id: str, name: str) -> float:
        """One metric of the job, NaN while Flink has none."""
        values = self.call("GET", f"jobs/{job_id}/metrics?get={name}")
        return float(values[0]["value"]) if values else float("nan")

    def exceptions(self, job_id: str) -> list[dict[str, Any]]:
        """The job's latest failures, newest first: `timestamp` (epoch ms), `exceptionName`, `stacktrace`."""
        return self.call("GET", f"jobs/{job_id}/exceptions?maxExceptions=20")["exceptionHistory"]["entries"]

    def free_slots(self) -> int:
        """Task slots that no job holds; 0 while no TaskManager is registered."""
        return self.call("GET", "overview")["slots-available"]

    def stop_with_savepoint(self, job_id: str, target: str, limit_s: float) -> str:
        """Take a savepoint under `target`, stop the job, and return the savepoint's path.

        :raises FlinkError: Flink could not take it; the job goes on
        """
        trigger = self.call("POST", f"jobs/{job_id}/stop", {"targetDirectory": target, "drain": False})["request-id"]

        def finished() -> dict[str, Any] | None:
            answer = self.call("GET", f"jobs/{job_id}/savepoints/{trigger}")
            return answer["operation"] if answer["status"]["id"] == "COMPLETED" else None

        operation = wait_until(finished, f"savepoint of Flink job {job_id} under {target}", limit_s)
        if "failure-cause" in operation:
            cause = operation["failure-cause"]
            raise FlinkError(f"No savepoint of Flink job {job_id}: {str(cause.get('stack-trace') or cause)[:500]}")
        return operation["location"]

    def backpressure_percent(self, job_id: str) -> float | None:
        """Share of the last minute that the job's most hindered subtask waited for those after it, 0 to 100.

        None while Flink has no figure yet. Flink gathers figures when it is asked: they are those of the last time.
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
        """A session with the given Flink options, closed at the end; submitted jobs live on."""
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
        """Run one statement to its end and return its rows, each a list of values.

        An INSERT or STATEMENT SET of a streaming job ends when the job is submitted; its only row holds the job id.

        :raises FlinkError: the statement failed, with its first line and Flink's cause
        """
        base = f"v1/sessions/{self.handle}"
        operation = self.gateway.call("POST", f"{base}/statements", {"statement": statement})["operationHandle"]
        what = f"SQL statement {_headline(statement)!r}"

        def ended() -> str | None:
            status = self.gateway.call("GET", f"{base}/operations/{operation}/status")["status"]
            return status if status in {"FINISHED", "ERROR", "CANCELED", "CLOSED", "TIMEOUT"} else None

        wait_until(ended, what, limit_s)
        rows: list[list[Any]] = []
        path: str | None = f"{base}/operations/{operation}/result/0"
        try:
            while path:
                page = self.gateway.call("GET", path)
                rows += [row["fields"] for row in page.get("results", {}).get("data", [])]
                path = page["nextResultUri"].lstrip("/") if page.get("resultType") != "EOS" else None
        except FlinkError as error:
            raise FlinkError(f"{what} failed. {error}") from error
        return rows


def _headline(statement: str) -> str:
    """The first line of a statement that is not a comment, to name it without its secrets."""
    lines = (line.strip() for line in statement.splitlines())
    return next((line for line in lines if line and not line.startswith("--")), "")[:80]
