"""A job, its saved states and commits, and a stub of Flink behind its two REST APIs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.streaming.job import FlinkJob
from lakehouse.streaming.state import HEADER, MAGIC

TABLES = ("bronze.raw_trips", "bronze.rejected_events")
STATE_TIME = 1_700_000_000


@pytest.fixture
def job(tmp_path: Path) -> FlinkJob:
    return FlinkJob(
        "trips.bronze",
        TABLES,
        f"file://{tmp_path}/flink",
        script="CREATE TABLE source; EXECUTE STATEMENT SET BEGIN INSERT INTO a; END",
        options={"parallelism.default": "1", "a": "b"},
    )


@pytest.fixture
def state(tmp_path: Path) -> Callable[..., str]:
    """Create a checkpoint or savepoint as Flink does, and return its path: a folder with the file `_metadata`."""

    def state(path: str, checkpoint_id: int, age_s: float = 0, magic: int = MAGIC, size: int | None = None) -> str:
        file = tmp_path / "flink" / path / "_metadata"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((HEADER.pack(magic, 4, checkpoint_id) + b"state")[:size])
        os.utime(file, (STATE_TIME - age_s,) * 2)
        return f"file://{file.parent}"

    return state


@pytest.fixture
def commit(iceberg, fill) -> Callable[..., None]:
    """Append rows to a table like a Flink job, or like another program if there is no job."""

    def commit(table: str, job_id: str | None = None, checkpoint_id: int = 0, rows: int = 1) -> None:
        fill(table, 0)
        data = pa.table({"trip_id": ["trip"] * rows, "kafka_partition": pa.array([0] * rows, pa.int32())})
        made_by = {"flink.job-id": job_id, "flink.max-committed-checkpoint-id": str(checkpoint_id)} if job_id else {}
        iceberg.load_table(table).append(data, snapshot_properties=made_by)

    return commit


@dataclass
class Flink:
    """Stubs of the JobManager and the SQL Gateway, with configurable behaviour.

    :param runs: job id -> `name`, `state`, `fingerprint` (unless started manually) and the restored path
    :param fate: fingerprint -> state of a job after its submission (default: RUNNING, with checkpoints)
    :param savepoint: takes a savepoint and returns its path, or None if that is not possible
    :param submitted: called with each submission
    :param begins: number of requests for a job's checkpoints before they are available
    :param refused: part of a statement -> the error that it causes
    """

    runs: dict[str, dict] = field(default_factory=dict)
    fate: dict[str, str] = field(default_factory=dict)
    savepoint: Callable[[], str] | None = None
    submitted: Callable[[], object] = lambda: None
    begins: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    task_managers: int = 1
    away: bool = False
    statements: list[str] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)
    session: dict[str, str] = field(default_factory=dict)
    taken: str | None = None

    def runs_as(self, job: FlinkJob, job_id: str, state: str = "RUNNING") -> None:
        """Add the job as long-running."""
        self.runs[job_id] = {"name": job.name, "state": state, "fingerprint": job.fingerprint, "restored": None}

    def live(self) -> list[str]:
        return [job_id for job_id, run in self.runs.items() if run["state"] == "RUNNING"]

    def answer(self, method: str, path: str, body: dict | None) -> object:
        if self.away and not path.startswith("/v1"):
            raise ConnectionAbortedError
        if method == "POST":
            self.posted.append(path)
        match path.split("?")[0].strip("/").split("/"):
            case ["overview"]:
                slots = self.task_managers * 4
                return {"taskmanagers": self.task_managers, "slots-total": slots, "slots-available": slots}
            case ["jobs", "overview"]:
                runs = enumerate(self.runs.items())
                listed = [(n, job_id, run) for n, (job_id, run) in runs]
                return {
                    "jobs": [
                        {"jid": job_id, "name": run["name"], "state": run["state"], "start-time": n}
                        for n, job_id, run in listed
                    ]
                }
            case ["jobs", job_id, "config"]:
                ours = self.runs[job_id].get("fingerprint")
                return {"execution-config": {"user-config": {"lakehouse.fingerprint": ours} if ours else {}}}
            case ["jobs", _, "exceptions"]:
                return {"exceptionHistory": {"entries": []}}
            case ["jobs", _, "checkpoints"] if self.begins:
                self.begins -= 1
                return 500, {"errors": ["not available while the JobManager is initializing"]}
            case ["jobs", _, "checkpoints"]:
                return {"counts": {"completed": 1}}
            case ["jobs", job_id, "stop" | "savepoints" as how]:
                self.taken = self.savepoint and self.savepoint()
                if how == "stop" and self.taken:
                    self.runs[job_id]["state"] = "FINISHED"
                return {"request-id": "t"}
            case ["jobs", _, "savepoints", "t"]:
                ended = (
                    {"location": self.taken.replace("///", "/")}
                    if self.taken
                    else {"failure-cause": {"stack-trace": "disk full"}}
                )
                return {"status": {"id": "COMPLETED"}, "operation": ended}
            case ["jobs", job_id] if method == "PATCH":
                self.runs[job_id]["state"] = "CANCELED"
                return {}
            case ["v1", "sessions"]:
                self.session = body["properties"]
                return {"sessionHandle": "s"}
            case ["v1", "sessions", "s", "statements"]:
                self.statements.append(body["statement"])
                return {"operationHandle": str(len(self.statements) - 1)}
            case ["v1", "sessions", "s", "operations", number, "status"]:
                return {"status": "ERROR" if self._error(int(number)) else "FINISHED"}
            case ["v1", "sessions", "s", "operations", number, "result", "0"]:
                if error := self._error(int(number)):
                    return 500, {"errors": [error]}
                if self.statements[int(number)].startswith("EXECUTE"):
                    self._submit()
                return {"resultType": "EOS"}
            case ["v1", "sessions", "s"]:
                return {}
        return 404, {"errors": [f"no such path: {path}"]}

    def _error(self, number: int) -> str | None:
        return next((error for words, error in self.refused.items() if words in self.statements[number]), None)

    def _submit(self) -> None:
        fingerprint = self.session["pipeline.global-job-parameters"].removeprefix("lakehouse.fingerprint:")
        self.runs[self.session["$internal.pipeline.job-id"]] = {
            "name": self.session["pipeline.name"],
            "state": self.fate.get(fingerprint, "RUNNING"),
            "fingerprint": fingerprint,
            "restored": self.session.get("execution.state-recovery.path"),
        }
        self.submitted()


@pytest.fixture
def flink(http, connect) -> Flink:
    """A Flink without jobs behind the connections `flink_rest` and `flink_sql_gateway`."""
    connect("flink_rest", port=http.server_port)
    connect("flink_sql_gateway", port=http.server_port)
    flink = Flink()
    http.default = flink.answer
    return flink
