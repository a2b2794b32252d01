"""Airflow's REST API, as far as the demo and the benchmarks need it: trigger a DAG run, watch it, read what it returned.

Reference: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from datetime import datetime
from functools import cached_property
from typing import Any, Self
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from local.config import Platform, PlatformError

TIMEOUT_S = 30
#: A machine that is busy may let a question wait: it is asked again.
RETRIES = Retry(total=3, connect=0, read=3, allowed_methods={"GET"})
ENDED = ("success", "failed")
ERRORS, ERROR_CHARACTERS = 3, 1000


class AirflowApi:
    """A logged-in client of an Airflow.

    :param url: of its API server
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
        """Start a run of the DAG and return its id."""
        return self.call("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"]

    def state(self, dag_id: str, run_id: str) -> str:
        """State of a DAG run: queued, running, success or failed."""
        return self.call("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}")["state"]

    def is_known(self, *dag_ids: str) -> bool:
        """Whether Airflow has read the files of these DAGs."""
        return {dag["dag_id"] for dag in self.call("GET", "dags?limit=100")["dags"]} >= set(dag_ids)

    def active_run(self, dag_id: str) -> str | None:
        """Id of a run of the DAG that waits or is at work, if any."""
        runs = self.call("GET", f"dags/{dag_id}/dagRuns?state=running&state=queued&limit=1")["dag_runs"]
        return runs[0]["dag_run_id"] if runs else None

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The run's task instances by task id, with `state`, `start_date` and `end_date` (datetime or None)."""
        found = self.call("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances")["task_instances"]
        return {task["task_id"]: {**task, **_times(task)} for task in found}

    def clear(self, dag_id: str, run_id: str, *task_ids: str, downstream: bool = False) -> None:
        """Have tasks run again, whatever came of them; those after them too, if wanted."""
        tasks = {"dag_run_id": run_id, "task_ids": task_ids, "include_downstream": downstream}
        self.call("POST", f"dags/{dag_id}/clearTaskInstances", tasks | {"only_failed": False, "dry_run": False})

    def returned(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value that a task returned, or left under another key."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", f"{path}?deserialize=true")["value"]

    def variable(self, name: str) -> str:
        """The value of a variable, as text."""
        return self.call("GET", f"variables/{name}")["value"]

    def set_variable(self, name: str, value: str) -> None:
        """Give a variable another value, as in the UI."""
        self.call("PATCH", f"variables/{name}", {"key": name, "value": value})

    def describe_failure(self, dag_id: str, run_id: str) -> str:
        """Which tasks of a run failed, the last errors of the first of them, and where to look."""
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
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.mount("http://", HTTPAdapter(max_retries=RETRIES))
        answer = session.post(f"{self._url}/auth/token", json=self._login, timeout=TIMEOUT_S)
        if not answer.ok:
            raise PlatformError(
                f"Airflow at {self._url} refuses the login of {self._login['username']}: {answer.text[:300]}"
            )
        session.headers["Accept"] = "application/json"
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return session

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request below `/api/v2/` and return the decoded answer; `{}` for one without content.

        :raises PlatformError: Airflow cannot be reached or refuses
        """
        try:
            answer = self._session.request(method, f"{self._url}/api/v2/{path}", json=body, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise PlatformError(f"Airflow at {self._url} cannot be reached: {error}. See: make status") from error
        if not answer.ok:
            raise PlatformError(f"Airflow: {method} {path} gave {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else {}


def _times(item: dict[str, Any]) -> dict[str, datetime | None]:
    return {name: datetime.fromisoformat(item[name]) if item[name] else None for name in ("start_date", "end_date")}
