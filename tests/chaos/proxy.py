"""A network that can fail: a TCP proxy between the platform and its catalog.

It is our own because maintained ones are not Python packages (Toxiproxy is a Go program), and none can detect commits.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from threading import Event, Thread

#: Found in a client's bytes: the new metadata of a table, which a commit binds to its UPDATE of `iceberg_tables`. Used
#: instead of the SQL, because a prepared statement is sent only by its name.
COMMIT = b".metadata.json"
CHUNK = 65536
CALL_LIMIT_S = 10


@dataclass
class CommitTrap:
    """An action for the next commit, once.

    :param on_commit: called during the commit, which waits for it
    :param lose_answer: the commit is applied, and the connection is reset before the client gets the response
    """

    on_commit: Callable[[], object] = lambda: None
    lose_answer: bool = False
    sprung: Event = field(default_factory=Event)


class Proxy:
    """Forwards connections to `127.0.0.1:upstream`. Its attributes may be set from any thread."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        #: Delay in seconds of each chunk of bytes, in both directions.
        self.delay_s = 0.0
        self._whole = asyncio.Event()
        self._whole.set()
        self.trap: CommitTrap | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        with socket.create_server(("127.0.0.1", 0)) as any_port:
            self.port: int = any_port.getsockname()[1]
        self.accept()

    def accept(self) -> None:
        """Listen."""
        self._call(self._accept())

    def refuse(self) -> None:
        """Stop listening, and reset open connections."""
        self._call(self._refuse())

    def cut(self) -> None:
        """As if the cable were cut: nothing passes, and neither end is notified."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def join(self) -> None:
        """Let through what has waited since `cut`, and all else."""
        self._loop.call_soon_threadsafe(self._whole.set)

    def close(self) -> None:
        """Stop permanently."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _call(self, coroutine: Coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_LIMIT_S)

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _refuse(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for writer in self._writers:
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            _reset(writer)
            return
        ends = {writer, far_writer}
        self._writers |= ends
        answer_lost = Event()
        pumps = [
            asyncio.create_task(self._to_server(reader, far_writer, answer_lost)),
            asyncio.create_task(self._to_client(far_reader, writer, answer_lost)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._writers -= ends
        for end in ends:
            _reset(end)

    async def _to_server(self, client: asyncio.StreamReader, server: asyncio.StreamWriter, answer_lost: Event) -> None:
        while data := await client.read(CHUNK):
            if self.trap and COMMIT in data:
                trap, self.trap = self.trap, None
                await self._loop.run_in_executor(None, trap.on_commit)
                if trap.lose_answer:
                    answer_lost.set()
                trap.sprung.set()
            await self._pass(data, server)

    async def _to_client(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, answer_lost: Event) -> None:
        while (data := await server.read(CHUNK)) and not answer_lost.is_set():
            await self._pass(data, client)

    async def _pass(self, data: bytes, to: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        to.write(data)
        await to.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection, as in a crash, instead of closing it."""
    if writer.transport.is_closing():
        return
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
