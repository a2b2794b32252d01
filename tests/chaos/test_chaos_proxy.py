"""The proxy in front of a real server: what is forwarded, delayed, lost, and applied although the response was lost."""

from __future__ import annotations

import socket
import socketserver
import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest

from chaos.proxy import CommitTrap, Proxy

LIMIT_S = 5
COMMIT = b"Bind file:///warehouse/metadata/00002.metadata.json"


class Upstream(socketserver.ThreadingTCPServer):
    """Records what it receives, and responds `ok`."""

    daemon_threads = True

    def __init__(self) -> None:
        self.received: list[bytes] = []
        super().__init__(("127.0.0.1", 0), self.Handler)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionResetError):
                while data := self.request.recv(65536):
                    self.server.received.append(data)
                    self.request.sendall(b"ok")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    proxy = Proxy(upstream.server_address[1])
    yield proxy
    proxy.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S) as client:
        yield client


def ask(client: socket.socket, question: bytes) -> bytes:
    client.sendall(question)
    return client.recv(100)


def test_bytes_are_forwarded_both_ways(client, upstream):
    assert ask(client, b"question") == b"ok"
    assert upstream.received == [b"question"]


def test_a_cut_cable_closes_no_connection_and_loses_nothing(proxy, client, upstream):
    assert ask(client, b"before") == b"ok"
    proxy.cut()
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        ask(client, b"meanwhile")
    assert upstream.received == [b"before"]

    proxy.join()
    client.settimeout(LIMIT_S)
    assert client.recv(100) == b"ok"
    assert upstream.received == [b"before", b"meanwhile"]


def test_a_slow_network(proxy, client):
    proxy.delay_s = 0.2
    began = time.monotonic()
    assert ask(client, b"question") == b"ok"
    assert time.monotonic() - began >= 0.4


def test_refusing_and_accepting_connections(proxy, client):
    assert ask(client, b"question") == b"ok"
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S)

    proxy.accept()
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S) as again:
        assert ask(again, b"question") == b"ok"


def test_the_response_to_a_commit_is_lost_after_it_was_applied_once(proxy, client, upstream):
    trap = proxy.trap = CommitTrap(lose_answer=True)
    assert ask(client, b"SELECT") == b"ok"

    client.sendall(COMMIT)

    with pytest.raises(ConnectionResetError):
        client.recv(100)
    assert trap.sprung.is_set()
    assert upstream.received == [b"SELECT", COMMIT]
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S) as again:
        assert ask(again, COMMIT) == b"ok"


def test_an_action_during_a_commit(proxy, client, upstream):
    seen = []
    proxy.trap = CommitTrap(on_commit=lambda: seen.append(list(upstream.received)))

    assert ask(client, COMMIT) == b"ok"

    assert seen == [[]]
    assert upstream.received == [COMMIT]


def test_a_server_that_is_down_is_unreachable_through_the_proxy(proxy, upstream):
    upstream.shutdown()
    upstream.server_close()
    with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S) as client:
        client.recv(100)
