"""The producer against a real TCP broker and a stub registry: guarantees and error messages."""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from lakehouse import registry as registry_client
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.producer import ProducerError, TopicProducer, key_of, pipeline_producer, schema_id
from tests.corpus.events import REFUSED_EVENTS

TOPIC = "taxi.raw_trips"


@pytest.fixture
def servers(send) -> str:
    """A broker with the topic."""
    send(TOPIC, 0)
    TopicHook(TOPIC).end_offsets()  # librdkafka's mock broker creates a topic on its first request
    return BaseHook.get_connection("kafka_default").extra_dejson["bootstrap.servers"]


def test_guarantees_cannot_be_weakened(servers):
    config = {"bootstrap.servers": servers, "acks": "0", "enable.idempotence": "false"}
    producer = TopicProducer(config, TOPIC, None)
    assert (producer._config["acks"], producer._config["enable.idempotence"]) == ("all", True)


@pytest.mark.parametrize("event", REFUSED_EVENTS, ids=lambda event: event.name)
def test_an_event_that_kafka_rejects_is_a_failure(servers, event):
    """Events before it are delivered, and nothing is sent after it."""
    producer = TopicProducer({"bootstrap.servers": servers}, TOPIC, None)
    assert producer.send([b"1", event.key, b"1"], [b"{}", event.value, b"{}"]) == 2
    producer.finish()
    assert (producer.handed_over, producer.delivered, producer.failed) == (2, 1, 1)
    assert event.reason in producer.first_error


class Handler(BaseHTTPRequestHandler):
    answer = (200, b'{"subject": "taxi.raw_trips-value", "id": 17, "version": 1}')

    def do_GET(self):
        self.server.logins.append(self.headers["Authorization"])
        status, body = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(HTTPServer):
    """A registry with the same response to every request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.logins: list[str | None] = []
        self.answer = Handler.answer
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/apis/ccompat/v7"

    def handle_error(self, *_: object) -> None:
        """Ignore clients that hang up."""


@pytest.fixture
def registry() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((404, b'{"error_code": 40401}'), "has no subject taxi.raw_trips-value.*Next: register the contract"),
        ((500, b""), "returned no id.*500"),
        ((200, b"<html>"), "returned no id"),
        ((200, b"[]"), "returned no id"),
        ((200, b'{"version": 1}'), "returned no id"),
    ],
)
def test_a_registry_without_the_contract_is_reported(registry, answer, problem):
    registry.answer = answer
    with pytest.raises(ProducerError, match=problem):
        schema_id(registry.url, f"{TOPIC}-value")


def test_the_login_of_a_registry_is_used_and_not_shown(registry):
    url = registry.url.replace("http://", "http://user:open%20sesame@") + "/"
    assert schema_id(url, f"{TOPIC}-value") == 17
    assert registry.logins == ["Basic " + base64.b64encode(b"user:open sesame").decode()]

    registry.answer = (500, b"")
    with pytest.raises(ProducerError, match="500") as error:
        schema_id(url, f"{TOPIC}-value")
    assert "sesame" not in str(error.value)


def test_librdkafka_logs_through_logging(caplog):
    with caplog.at_level(logging.ERROR), socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        producer = TopicProducer({"bootstrap.servers": f"127.0.0.1:{closed.getsockname()[1]}"}, "t", None)
        with pytest.raises(ProducerError):
            producer.check(1.0)
    assert any("refused" in record.getMessage() for record in caplog.records)


@pytest.fixture
def certificate(tmp_path) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key."""
    file = tmp_path / "tls.pem"
    wanted = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            file,
            "-out",
            tmp_path / "ca.pem",
            *wanted,
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + (tmp_path / "ca.pem").read_text())
    return file


def test_a_registry_with_its_own_certificate(registry, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    registry.socket = context.wrap_socket(registry.socket, server_side=True)
    registry.scheme = "https"
    assert schema_id(registry.url, f"{TOPIC}-value", str(certificate.with_name("ca.pem"))) == 17
    with pytest.raises(ProducerError, match="certificate verify failed"):
        schema_id(registry.url, f"{TOPIC}-value")


@pytest.mark.parametrize("listens", [True, False], ids=["silent", "away"])
def test_a_registry_that_does_not_answer_is_reported_within_the_limit(listens, monkeypatch):
    assert sum(registry_client.LIMITS_S[:2]) <= 15
    monkeypatch.setattr(registry_client, "LIMITS_S", (1, 1, 1, 1))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(
            ProducerError, match=rf"Schema registry {url} returned no id of {TOPIC}-value: .*Next: start it"
        ):
            schema_id(url, f"{TOPIC}-value")
    assert time.monotonic() - started < 5


def test_a_producer_with_airflows_connections(taxi, servers, registry, connect):
    connect("schema_registry", host=registry.url, login="me", password="open sesame")
    producer = pipeline_producer(taxi)
    assert producer.send([None], [b"{}"]) == 1
    producer.finish()
    assert (producer.topic, producer.servers, producer.delivered) == (TOPIC, servers, 1)
    assert registry.logins == ["Basic " + base64.b64encode(b"me:open sesame").decode()]


def test_what_is_missing_is_reported_with_airflows_connections(taxi, registry, connect, send):
    with pytest.raises(AirflowException, match=r"Schema registry .*returned no id"):
        pipeline_producer(taxi)
    connect("schema_registry", host=registry.url)
    send("another", 0)
    with pytest.raises(AirflowException, match=rf"has no topic {TOPIC}\. Next: create it \(run the DAG flink_jobs\)"):
        pipeline_producer(taxi)


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        (b'{"zone": 132}', b"132"),
        (b'{"zone": 1.50}', b"1.50"),
        (b'{"zone": 12345678901234567890123}', b"12345678901234567890123"),
        ('{"zone": "Zoë"}'.encode(), "Zoë".encode()),
        (b'{"zone": true}', b"true"),
        (b'{"zone": null}', None),
        (b'{"zone": "\\ud800"}', None),  # half a surrogate pair
        (b'{"other": 1}', None),
        (b"[1]", None),
        (b"{", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        (None, None),
    ],
)
def test_the_key_is_the_text_of_a_field(payload, key):
    assert key_of(payload, "zone") == key
    assert key_of(payload, None) is None
