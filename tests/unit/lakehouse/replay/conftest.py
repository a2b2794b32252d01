"""Tables with rows at given positions, two pipelines that share namespaces, and a stub of Flink."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
from more_pipelines import RIDES, declare, positions

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.load import get_pipeline
from lakehouse.pipelines.model import Pipeline

POSITION = [("kafka_partition", pa.int32()), ("kafka_offset", pa.int64())]


@pytest.fixture
def rows(iceberg) -> Callable[..., str]:
    """Add rows with these positions (partition, offset) to a table; return its UUID."""

    def rows(name: str, *positions: tuple[int, int], **columns: pa.DataType) -> str:
        iceberg.create_namespace_if_not_exists(name.split(".")[0])
        schema = pa.schema([*POSITION, *columns.items()])
        table = iceberg.create_table_if_not_exists(name, schema)
        data = [{"kafka_partition": partition, "kafka_offset": offset} for partition, offset in positions]
        table.append(pa.Table.from_pylist(data, schema))
        return str(table.metadata.table_uuid)

    return rows


@pytest.fixture
def identity(iceberg) -> Callable[[str], str | None]:
    """The UUID of a table, or None if it does not exist."""

    def identity(name: str) -> str | None:
        return str(iceberg.load_table(name).metadata.table_uuid) if iceberg.table_exists(name) else None

    return identity


@pytest.fixture
def live(rows, send, taxi) -> TopicHook:
    """Four events, which are in the live tables."""
    send(taxi.topic.name, 4)
    topic = TopicHook(taxi.topic.name)
    events = positions(topic)
    rows("bronze.raw_trips", *events[:3])
    rows("bronze.rejected_events", *events[3:])
    for name in taxi.stages["silver"].tables:
        rows(name, *(events[:3] if name == "silver.cleaned_trips" else ()))
    return topic


@pytest.fixture
def rides(rows, send, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pipeline:
    """A second pipeline with three events, which are in its tables."""
    declare(monkeypatch, tmp_path, rides=RIDES)
    pipeline = get_pipeline("rides")
    send(pipeline.topic.name, 3)
    events = positions(TopicHook(pipeline.topic.name))
    held = {"bronze.rides": events, "core.rides": events, "silver.long_rides": events}
    for name in pipeline.tables:
        rows(name, *held.get(name, ()))
    return pipeline


@dataclass
class Flink:
    """Stubs of a JobManager and a SQL Gateway.

    :param jobs: id -> name and state
    :param created: called with the name of each Iceberg table that is created
    :param stopped: names of the jobs that were stopped with a savepoint, and the savepoint's folder
    """

    created: Callable[[str], object]
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)
    sessions: list[dict[str, str]] = field(default_factory=list)
    stopped: list[tuple[str, str]] = field(default_factory=list)

    def runs(self, *names: str) -> None:
        """Add long-running jobs, whose ids are their names."""
        self.jobs |= {name: {"name": name, "state": "RUNNING"} for name in names}

    def live(self) -> list[str]:
        """Names of the running jobs."""
        return [job["name"] for job in self.jobs.values() if job["state"] == "RUNNING"]

    def answer(self, method: str, path: str, body: dict | None) -> object:
        match path.split("?")[0].strip("/").split("/"):
            case ["overview"]:
                return {"taskmanagers": 1, "slots-available": 4}
            case ["jobs", "overview"]:
                jobs = enumerate(self.jobs.items())
                return {"jobs": [{"jid": job_id, **job, "start-time": n} for n, (job_id, job) in jobs]}
            case ["jobs", job_id, "stop"]:
                self.jobs[job_id]["state"] = "FINISHED"
                self.stopped.append((self.jobs[job_id]["name"], body["targetDirectory"].rpartition("/savepoints/")[2]))
                return {"request-id": "t"}
            case ["jobs", _, "savepoints", "t"]:
                return {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/savepoint"}}
            case ["jobs", job_id] if method == "PATCH":
                self.jobs[job_id]["state"] = "CANCELED"
                return {}
            case ["v1", "sessions"]:
                self.sessions.append(body["properties"])
                return {"sessionHandle": "s"}
            case ["v1", "sessions", "s", "statements"]:
                self.execute(body["statement"])
                return {"operationHandle": "o"}
            case ["v1", "sessions", "s", "operations", "o", "status"]:
                return {"status": "FINISHED"}
            case ["v1", "sessions", "s", "operations", "o", "result", "0"]:
                return {"resultType": "EOS"}
            case ["v1", "sessions", "s"]:
                return {}
        return 404, {"errors": [f"no such path: {method} {path}"]}

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        if found := re.match(r"CREATE TABLE IF NOT EXISTS iceberg_catalog\.(\S+)", statement):
            self.created(found[1])
        if statement.startswith("EXECUTE"):
            session = self.sessions[-1]
            self.jobs[session["$internal.pipeline.job-id"]] = {"name": session["pipeline.name"], "state": "RUNNING"}


@pytest.fixture
def flink(http, connect, rows) -> Flink:
    connect("flink_rest", port=http.server_port)
    connect("flink_sql_gateway", port=http.server_port)
    flink = Flink(created=rows)
    http.default = flink.answer
    return flink
