"""The client of Airflow's REST API waits for a busy machine, and never does anything twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local import airflow_api
from local.airflow_api import AirflowApi
from local.config import PlatformError

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


class Airflow(ThreadingHTTPServer):
    """An API server with one DAG, which does not answer in time at first.

    :ivar slow: how many requests are answered too late; what they ask for is done
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.slow = 0
        self.runs: dict[str, dict] = {}


class Handler(BaseHTTPRequestHandler):
    server: Airflow

    def do_GET(self) -> None:
        self._answer(200, {"dag_runs": [*self.server.runs.values()]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/auth/token":
            self._answer(201, {"access_token": "t"})
        elif (run := body["dag_run_id"]) in self.server.runs:
            self._answer(409, {"detail": "there is such a run"})
        else:
            self.server.runs[run] = {"dag_run_id": run, "start_date": None}
            self._answer(200, self.server.runs[run])

    def _answer(self, status: int, content: object) -> None:
        if self.server.slow:
            self.server.slow -= 1
            time.sleep(0.6)
        body = json.dumps(content).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the client has stopped waiting

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    monkeypatch.setattr(airflow_api, "TIMEOUT_S", 0.3)
    with Airflow() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def api(airflow: Airflow) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{airflow.server_port}", "admin", "secret")


def test_a_slow_answer_is_awaited_with_a_message(airflow, api, capsys):
    airflow.slow = 3
    assert api.active_run("flink_jobs") is None
    assert "waiting for Airflow's answer to POST auth/token (0 s)" in capsys.readouterr().err


def test_a_run_is_triggered_once_even_if_the_answer_is_slow(airflow, api):
    assert api.active_run("flink_jobs") is None
    airflow.slow = 2
    assert [api.trigger("flink_jobs", {})] == [*airflow.runs]


def test_the_error_without_an_answer_says_what_was_awaited(airflow, api, monkeypatch):
    monkeypatch.setattr(airflow_api, "LIMIT_S", 0.5)
    airflow.slow = 1000
    with pytest.raises(PlatformError, match=r"Airflow at .* did not answer for \d s. Next: make status, make logs"):
        api.active_run("flink_jobs")


@pytest.mark.parametrize(("since", "found"), [(0, "early"), (1767225601, "late"), (1767229201, "waits")])
def test_a_run_that_began_earlier_does_not_count(airflow, api, since, found):
    for name, start in (("early", EARLY), ("late", LATE), ("waits", None)):
        airflow.runs[name] = {"dag_run_id": name, "start_date": start}
    assert api.active_run("flink_jobs", since) == found
