"""Each probe succeeds only for a healthy service, and otherwise says what it waits for."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka import Producer

from local import probes, proxies


class _Answer(BaseHTTPRequestHandler):
    status = 200
    body = b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def answer() -> Iterator[type[_Answer]]:
    """An HTTP server whose answer can be changed; `answer.port` is where it listens."""
    handler = type("Answer", (_Answer,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


@pytest.fixture
def closed() -> Iterator[int]:
    """A port on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _ready(overview: dict) -> bool:
    return overview["taskmanagers"] > 0


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"taskmanagers": 1}', None),
        (200, b'{"taskmanagers": 0}', "port {port}/overview answers, but is not ready yet"),
        (503, b'{"taskmanagers": 1}', "port {port}/overview answers 503"),
        (200, b"<html>", "port {port}/overview gave an unexpected answer (JSONDecodeError"),
        (200, b'{"status": "UP"}', "port {port}/overview gave an unexpected answer (KeyError"),
        (200, b"null", "port {port}/overview gave an unexpected answer (TypeError"),
    ],
)
def test_an_http_service_is_healthy_if_its_answer_is_as_expected(answer, status, body, said):
    answer.status, answer.body = status, body
    problem = probes.http_ok(answer.port, "/overview", _ready)()
    assert problem is None if said is None else problem.startswith(said.format(port=answer.port))


def test_a_probe_uses_proxies_like_all_clients(answer, dead_proxy):
    """If a proxy keeps clients from a service, the platform must not be reported as healthy."""
    answer.body = b'{"taskmanagers": 1}'
    assert "does not answer yet" in probes.http_ok(answer.port, "/overview", _ready)()
    proxies.pass_by()
    assert probes.http_ok(answer.port, "/overview", _ready)() is None


def test_an_empty_answer_is_not_healthy(answer):
    assert probes.http_ok(answer.port, "/info")() == f"port {answer.port}/info answers, but is not ready yet"


def test_an_http_service_that_does_not_listen_is_named(closed):
    assert f"port {closed} does not answer yet" in probes.http_ok(closed, "/info")()


def test_a_postgres_that_does_not_listen_is_named(closed):
    problem = probes.postgres(closed, "secret-password")()
    assert str(closed) in problem
    assert "refused" in problem
    assert "secret-password" not in problem


def test_kafka_is_healthy_when_it_answers_with_its_metadata(closed):
    broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none"})
    address = next(iter(broker.list_topics(timeout=10).brokers.values()))
    assert probes.kafka(address.port)() is None
    assert f"port {closed} does not answer yet" in probes.kafka(closed)()


def test_a_port_with_another_protocol_is_not_kafka(answer, monkeypatch):
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.5)
    assert f"port {answer.port} does not answer yet" in probes.kafka(answer.port)()
