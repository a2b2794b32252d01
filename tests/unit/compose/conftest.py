"""The gate in front of a stub of Docker's daemon, on its own socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from compose.docker_gate.gate import Gate
from compose.docker_gate.generator import LABEL, Generator

GENERATOR = Generator("lakehouse/airflow:1", "lakehouse_data", "lakehouse_tls-generator", 2**29, "lakehouse")
OURS, FOREIGN = "a" * 64, "b" * 64


class Docker:
    """Responds like Docker's daemon, and records all requests; `attach` lasts until the container is stopped."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        #: What the attached container received as input.
        self.input: bytes | None = None
        self._stopped = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = await reader.readexactly(int(re.search(r"Content-Length: (\d+)", head)[1]))
        request = head.partition(" HTTP/1.0")[0]
        self.got.append((request, body))
        project = "lakehouse" if OURS in request else "another"
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"Config": {"Labels": {LABEL: project}}}).encode())
        if "/attach" in request:
            await writer.drain()
            reading = asyncio.create_task(reader.read(100))
            await self._stopped.wait()
            self.input = reading.result() if reading.done() else b""
        if "/stop" in request:
            self._stopped.set()
        writer.close()


class Client:
    """Sends bytes to the gate."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self, sent: bytes) -> socket.socket:
        """Open a connection and send bytes."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(self.path))
        connection.sendall(sent)
        return connection

    def send(self, sent: bytes) -> str:
        """Send bytes, and return the whole response."""
        with self.connect(sent) as connection:
            return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()

    def request(self, request: str, body: bytes = b"", *headers: str) -> str:
        """The response to a request in the format of Docker's clients."""
        head = "\r\n".join([f"{request} HTTP/1.1", "Host: gate", f"Content-Length: {len(body)}", *headers])
        return self.send(f"{head}\r\n\r\n".encode() + body)


@pytest.fixture
def docker() -> Docker:
    return Docker()


@pytest.fixture
def gate(docker: Docker, tmp_path: Path) -> Iterator[Client]:
    loop = asyncio.new_event_loop()

    async def start() -> None:
        await asyncio.start_unix_server(docker.serve, tmp_path / "docker")
        await asyncio.start_unix_server(Gate(GENERATOR, str(tmp_path / "docker")).serve, tmp_path / "gate", limit=4096)

    loop.run_until_complete(start())
    thread = Thread(target=loop.run_forever)
    thread.start()
    yield Client(tmp_path / "gate")
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
