"""The settings file as Airflow reads it, and real services on loopback for its connections."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from airflow.sdk import BaseHook
from confluent_kafka import Consumer, Producer, TopicPartition

from lakehouse import cli
from lakehouse.airflow import settings
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines import load
from lakehouse.pipelines.load import get_pipeline
from lakehouse.pipelines.model import Pipeline
from lakehouse.waiting import wait_until
from local import postgres, probes
from local.config import Platform

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

PASSWORD = "only-for-tests"


@pytest.fixture(autouse=True)
def connect(load_settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """All connections and variables of the settings file, pointing nowhere; call it to change fields of one connection."""
    folders = {"LAKEHOUSE_HOME": tmp_path, "FLINK_STATE_DIR": f"file://{tmp_path}/flink"}
    for name, value in load_settings(ALERTS_URL="", **folders).environment().items():
        monkeypatch.setenv(name, value)

    def connect(conn_id: str, **fields: Any) -> None:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        monkeypatch.setenv(name, json.dumps(json.loads(os.environ[name]) | fields))

    return connect


@pytest.fixture(autouse=True)
def topic_ids(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Topic ids by name, because librdkafka's mock broker has none."""
    ids: dict[str, str] = {}
    monkeypatch.setattr(TopicHook, "topic_id", lambda hook: ids.get(hook.topic, f"id of {hook.topic}"))
    return ids


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command of `python -m lakehouse` in this process; return its exit status."""
    monkeypatch.setattr(settings, "apply_to_environment", lambda: None)
    monkeypatch.setenv(cli.LOG_LEVEL, "CRITICAL")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code

    return run


class StubServer(ThreadingHTTPServer):
    """A web server on loopback with canned responses, which records its requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses: dict[str, Any] = {}
        self.default: Callable[[str, str, Any], Any] = lambda *_: (404, {"errors": ["no such path"]})
        self.requests: list[tuple[str, str, Any]] = []

    def handle_error(self, *_: Any) -> None:
        """An error in a response ends the connection."""

    def __setitem__(self, request: str, answer: Any) -> None:
        """Set the response to `"GET /path?query"`: JSON, a pair of status and JSON, or a function that returns either."""
        self.responses[request] = answer


class _Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        request = self.command, self.path, json.loads(body) if body else None
        self.server.requests.append(request)
        answer = self.server.responses.get(f"{self.command} {self.path}", lambda: self.server.default(*request))
        answer = answer() if callable(answer) else answer
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def http() -> Iterator[StubServer]:
    server = StubServer()
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def database() -> Iterator[Platform]:
    """The platform's PostgreSQL server, in its own folder."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-tests-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        passwords = ("POSTGRES_PASSWORD", *(f"POSTGRES_{name.upper()}_PASSWORD" for name in postgres.DATABASES))
        Path(folder).chmod(0o711)  # under root, the server runs as another user
        platform = Platform(Path(folder), {"POSTGRES_PORT": str(port), **dict.fromkeys(passwords, PASSWORD)})
        postgres.configure()
        postgres.prepare(platform)
        command = [*postgres.command(platform), "-c", "fsync=off"]
        account = postgres.account()
        groups = {"group": account, "extra_groups": []} if account else {}
        server = subprocess.Popen(command, user=account, cwd="/", stderr=subprocess.DEVNULL, **groups)
        try:
            probe = probes.postgres(port, PASSWORD)
            wait_until(lambda: probe() is None, "PostgreSQL of the tests", 30)
            postgres.complete(platform)
            yield platform
        finally:
            server.send_signal(signal.SIGINT)  # SIGTERM would wait until every client has disconnected
            server.wait(30)


@pytest.fixture
def iceberg(database: Platform, connect: Callable[..., None], tmp_path: Path) -> Iterator[SqlCatalog]:
    """An empty Iceberg catalog behind the connection `iceberg_catalog`, and locks in the same database."""
    server = {"host": "127.0.0.1", "port": database.port("POSTGRES_PORT"), "password": PASSWORD}
    connect("iceberg_catalog", **server, extra={"warehouse": f"file://{tmp_path}/warehouse"})
    connect("coordination", **server)
    catalog = IcebergCatalogHook().catalog
    catalog.destroy_tables()
    catalog.create_tables()
    yield catalog
    catalog.close()  # each test has its own, and the server's connections are limited


@pytest.fixture
def fill(iceberg: SqlCatalog) -> Callable[..., None]:
    """Append rows of one Kafka partition to an Iceberg table; with 0 rows, create it empty and without a snapshot.

    Without explicit offsets, they continue those of that partition in the tables of the same namespace.
    """
    ends: dict[tuple[str, int], int] = {}

    def fill(name: str, rows: int | Sequence[int], partition: int = 0) -> None:
        namespace = name.split(".")[0]
        end = ends.get((namespace, partition), 0)
        offsets = range(end, end + rows) if isinstance(rows, int) else rows
        iceberg.create_namespace_if_not_exists(namespace)
        schema = pa.schema({"trip_id": pa.string(), "kafka_partition": pa.int32(), "kafka_offset": pa.int64()})
        table = _by_kafka_partition(iceberg, name, schema)
        if offsets:
            ends[namespace, partition] = max(end, *(offset + 1 for offset in offsets))
            ids = [f"trip {offset}" for offset in offsets]
            table.append(pa.table([ids, [partition] * len(ids), offsets], schema=schema))

    return fill


@pytest.fixture
def metadata_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables' metadata files that were read."""
    from pyiceberg.io.pyarrow import PyArrowFile

    files: list[str] = []
    open_file = PyArrowFile.open

    def noticed(file: PyArrowFile, seekable: bool = True) -> Any:
        files.extend([file.location] if file.location.endswith(".metadata.json") else [])
        return open_file(file, seekable)

    monkeypatch.setattr(PyArrowFile, "open", noticed)
    return files


def _by_kafka_partition(catalog: SqlCatalog, name: str, schema: pa.Schema) -> Table:
    """The table, created if it is missing; Bronze is partitioned by Kafka partition."""
    if catalog.table_exists(name):
        return catalog.load_table(name)
    with catalog.create_table_transaction(name, schema) as draft:
        if name.startswith("bronze."):
            draft.update_spec().add_identity("kafka_partition").commit()
    return catalog.load_table(name)


@pytest.fixture
def taxi(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The repository's pipeline without its windows of event time, which have tests of their own (`windowed_taxi`)."""
    read = load._read

    def without_windows(file: Path, include: Path) -> Pipeline:
        found = read(file, include)
        stages = {name: stage for name, stage in found.stages.items() if not stage.event_time}
        return found.model_copy(update={"stages": stages})

    monkeypatch.setattr(load, "_read", without_windows)
    return get_pipeline("nyc_taxi")


@pytest.fixture
def windowed_taxi() -> Pipeline:
    """The repository's pipeline."""
    return get_pipeline("nyc_taxi")


@pytest.fixture
def send(connect: Callable[..., None]) -> Callable[..., None]:
    """Send events (a number, or payloads) to a topic of librdkafka's mock broker, behind the connection `kafka_default`."""
    broker = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1})
    connect("kafka_default", extra={"bootstrap.servers": _address(broker)})

    def send(topic: str, events: int | list[bytes | None], partition: int = 0) -> None:
        for payload in [str(number) for number in range(events)] if isinstance(events, int) else events:
            broker.produce(topic, payload, partition=partition)
        assert broker.flush(10) == 0

    return send


@pytest.fixture
def commit_offset() -> Callable[[str, str, int, int], None]:
    """Commit an offset of a consumer group."""

    def commit_offset(group: str, topic: str, partition: int, offset: int) -> None:
        config = BaseHook.get_connection("kafka_default").extra_dejson
        consumer = Consumer({**config, "group.id": group})
        consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
        consumer.close()

    return commit_offset


def _address(broker: Producer) -> str:
    node = next(iter(broker.list_topics(timeout=10).brokers.values()))
    return f"{node.host}:{node.port}"
