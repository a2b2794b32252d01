"""A client of Airflow's REST API for the demo and the benchmarks: trigger a DAG run, watch it, read what it returned.

Reference: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

import sys
import time
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import requests

from local.config import Platform, PlatformError

#: Total time in seconds for which a request is repeated if a busy machine does not respond.
TIMEOUT_S, LIMIT_S = 30, 600
ENDED = ("success", "failed")
ERRORS, ERROR_CHARACTERS = 3, 1000


class AirflowApi:
    """A logged-in client of an Airflow.

    :param url: URL of its API server
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._login = {"username": user, "password": password}

    @classmethod
    def of(cls, platform: Platform) -> Self:
        """The administrator's client of a platform's Airflow."""
        url = f"http://127.0.0.1:{platform.port('AIRFLOW_PORT')}"
        return cls(url, "admin", platform.values["AIRFLOW_ADMIN_PASSWORD"])

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run of the DAG and return its id, which we choose, so that a repeated request does not start a second run."""
        run_id = f"manual__{uuid4()}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        answer = self._send("POST", f"api/v2/dags/{dag_id}/dagRuns", json=body)
        if answer.status_code != HTTPStatus.CONFLICT:
            _checked(answer)
        return run_id

    def state(self, dag_id: str, run_id: str) -> str:
        """State of a DAG run: queued, running, success or failed."""
        return self.call("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}")["state"]

    def is_known(self, *dag_ids: str) -> bool:
        """Whether Airflow has read the files of these DAGs."""
        return {dag["dag_id"] for dag in self.call("GET", "dags?limit=100")["dags"]} >= set(dag_ids)

    def active_run(self, dag_id: str, since: float = 0) -> str | None:
        """Id of a queued or running run of the DAG, if any.

        :param since: epoch seconds; runs that started earlier do not count
        """
        runs = self.call("GET", f"dags/{dag_id}/dagRuns?state=running&state=queued")["dag_runs"]
        return next((run["dag_run_id"] for run in runs if _began(run) >= since), None)

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The run's task instances by task id, with `state`, `start_date` and `end_date` (datetime or None)."""
        found = self.call("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances")["task_instances"]
        return {task["task_id"]: {**task, **_times(task, "start_date", "end_date")} for task in found}

    def clear(self, dag_id: str, run_id: str, *task_ids: str, downstream: bool = False) -> None:
        """Clear tasks, optionally with the ones downstream, so that they run again."""
        tasks = {"dag_run_id": run_id, "task_ids": task_ids, "include_downstream": downstream}
        self.call("POST", f"dags/{dag_id}/clearTaskInstances", tasks | {"only_failed": False, "dry_run": False})

    def returned(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value that a task returned, or pushed with another key."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", f"{path}?deserialize=true")["value"]

    def variable(self, name: str) -> str:
        """The value of a variable, as text."""
        return self.call("GET", f"variables/{name}")["value"]

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable, as in the UI."""
        self.call("PATCH", f"variables/{name}", {"key": name, "value": value})

    def describe_failure(self, dag_id: str, run_id: str) -> str:
        """The failed tasks of a run, the last errors of the first one, and where to find its log."""
        failed = {name: task for name, task in self.tasks(dag_id, run_id).items() if task["state"] == "failed"}
        first = min(failed.values(), key=lambda task: task["end_date"], default=None)
        errors = self._errors(dag_id, run_id, first) if first else []
        where = f"{self._url}/dags/{dag_id}/runs/{quote(run_id)}"
        return "\n  ".join([f"{dag_id} failed in {', '.join(failed) or 'no task'}: {where}", *errors])

    def _errors(self, dag_id: str, run_id: str, task: dict[str, Any]) -> list[str]:
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        lines = [line for line in self.call("GET", path)["content"] if line.get("level") == "error"]
        details = [detail["exc_value"] for line in lines for detail in line.get("error_detail") or []]
        return [text[:ERROR_CHARACTERS] for text in (details or [line["event"] for line in lines])[-ERRORS:]]

    @cached_property
    def _headers(self) -> dict[str, str]:
        answer = self._request("POST", "auth/token", json=self._login)
        if not answer.ok:
            raise PlatformError(
                f"Airflow at {self._url} refuses the login of {self._login['username']}: {answer.text[:300]}"
            )
        return {"Accept": "application/json", "Authorization": f"Bearer {answer.json()['access_token']}"}

    @cached_property
    def _session(self) -> requests.Session:
        return requests.Session()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request below `/api/v2/` and return the decoded response; `{}` if it has no content.

        :raises PlatformError: Airflow cannot be reached or refuses the request
        """
        answer = _checked(self._send(method, f"api/v2/{path}", json=body))
        return answer.json() if answer.content else {}

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._request(method, path, headers=self._headers, **options)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request, and repeat it if there is no response: it must be idempotent."""
        began = time.monotonic()
        while True:
            try:
                return self._session.request(method, f"{self._url}/{path}", timeout=TIMEOUT_S, **options)
            except requests.ReadTimeout as error:
                waited_s = time.monotonic() - began
                if waited_s > LIMIT_S:
                    raise PlatformError(
                        f"Airflow at {self._url} did not answer for {waited_s:.0f} s. Next: make status, make logs"
                    ) from error
                print(f"  waiting for Airflow's answer to {method} {path} ({waited_s:.0f} s)", file=sys.stderr)
            except requests.RequestException as error:
                raise PlatformError(f"Airflow at {self._url} cannot be reached: {error}. See: make status") from error


def _checked(answer: requests.Response) -> requests.Response:
    """The response, unless it is an error."""
    if not answer.ok:
        request = answer.request
        raise PlatformError(f"Airflow: {request.method} {request.url} gave {answer.status_code}: {answer.text[:500]}")
    return answer


def _began(run: dict[str, Any]) -> float:
    """When a run started, in epoch seconds; a queued run is in the future."""
    start = _times(run, "start_date")["start_date"]
    return start.timestamp() if start else float("inf")


def _times(item: dict[str, Any], *names: str) -> dict[str, datetime | None]:
    return {name: datetime.fromisoformat(item[name]) if item[name] else None for name in names}
