"""Forwards requests to Docker, each over its own connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from urllib.parse import quote

from .generator import LABEL, Generator
from .request import Refused, Request, Unknown, answer, json_of, to_docker

READ_LIMIT_S = 10
#: Allowed requests -> the request to Docker: with our own query, never the client's.
ROUTES = {
    "GET /_ping": "GET /_ping",
    "GET /version": "GET /version",
    "GET /images/json": "GET /images/json?filters={image}",
    "POST /containers/create": "POST /containers/create",
    "GET /containers/{id}/json": "GET /containers/{id}/json",
    "POST /containers/{id}/attach": "POST /containers/{id}/attach?stream=1&stdout=1&stderr=1",
    "POST /containers/{id}/start": "POST /containers/{id}/start",
    "POST /containers/{id}/wait": "POST /containers/{id}/wait",
    "POST /containers/{id}/stop": "POST /containers/{id}/stop?t=5",
    "DELETE /containers/{id}": "DELETE /containers/{id}?force=1&v=1",
}


class Gate:
    """Serves the part of Docker's API in `ROUTES`.

    :param socket: path of Docker's socket
    """

    def __init__(self, generator: Generator, socket: str) -> None:
        self._generator, self._socket = generator, socket

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close the connection."""
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                request = await Request.read(reader)
                onward = await self._onward(request)
            await self._relay(request, onward, reader, writer)
        except Refused as error:
            print(f"refused: {error}", flush=True)
            writer.write(answer(error.status, str(error)))
        except OSError as error:
            why = f"Docker cannot be reached ({error!r}). Next: set DOCKER_SOCKET in .env to its socket"
            print(why, flush=True)
            writer.write(answer("502 Bad Gateway", why))
        finally:
            writer.close()

    async def _onward(self, request: Request) -> bytes:
        """The request to Docker that replaces the client's."""
        if request.route not in ROUTES:
            raise Refused(f"{request.route} is not served")
        if request.container and not await self._is_ours(request.container):
            raise Unknown(f"no container {request.container} was created here")
        image = quote(json.dumps({"reference": [self._generator.image]}))
        onward = ROUTES[request.route].format(id=request.container, image=image)
        if request.route == "POST /containers/create":
            return to_docker(onward, json.dumps(self._generator.created_as(json_of(request.body))).encode())
        return to_docker(onward)

    async def _is_ours(self, container: str) -> bool:
        _, _, body = (await self._ask(f"GET /containers/{container}/json")).partition(b"\r\n\r\n")
        labels = json.loads(body).get("Config", {}).get("Labels") or {}
        return labels.get(LABEL) == self._generator.project

    async def _ask(self, request: str) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        with contextlib.closing(writer):
            writer.write(to_docker(request))
            return await reader.read()

    async def _relay(
        self, request: Request, onward: bytes, client: asyncio.StreamReader, answered: asyncio.StreamWriter
    ) -> None:
        docker, writer = await asyncio.open_unix_connection(self._socket)
        writer.write(onward)
        # What a client sends after its request is discarded, but its disconnect is noticed.
        answering, leaving = asyncio.create_task(_copy(docker, answered)), asyncio.create_task(_copy(client))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = not answering.done()
            answering.cancel(), leaving.cancel()
            writer.close()
            if left and request.route == "POST /containers/{id}/attach":
                await self._end(request.container)

    async def _end(self, container: str) -> None:
        """Stop and remove a container after its client has disconnected, because its task is gone."""
        print(f"stopped, its client has disconnected: {container}", flush=True)
        for request in ("POST /containers/{id}/stop", "DELETE /containers/{id}"):
            await self._ask(ROUTES[request].format(id=container))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter | None = None) -> None:
    """Copy to the end; without a sink, only read."""
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            if sink:
                sink.write(data)
                await sink.drain()
