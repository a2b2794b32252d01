"""Parses untrusted requests of clients; writes requests to Docker, and our own responses."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, NamedTuple

BODY_LIMIT = 65_536
REQUEST = re.compile(r"(GET|POST|DELETE) (?:/v1\.[0-9]+)?(/[A-Za-z0-9_/-]*)(?:\?[!-~]*)? HTTP/1\.1")
CONTAINER = re.compile(r"/containers/([0-9a-f]{64})(?![^/])")


class Refused(Exception):
    """A request is refused; the message says why."""

    status = "403 Forbidden"


class Unknown(Refused):
    """The container does not exist, or this gate did not create it: clients cannot tell the difference."""

    status = "404 Not Found"


class Request(NamedTuple):
    """A client's request.

    :param route: method and path, with `{id}` for the id of a container
    :param container: the id, if there is one
    """

    route: str
    container: str
    body: bytes

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Request:
        """Read one request, and nothing after it.

        :raises Refused: it is not plain HTTP/1.1 with a body of a declared length, or it is incomplete
        """
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            if not (matched := REQUEST.fullmatch(first)):
                raise Refused(f"{first[:200]!r} is not served")
            body = await reader.readexactly(_length(lines))
        except (EOFError, OSError, asyncio.LimitOverrunError) as error:
            raise Refused("the request is incomplete") from error
        method, path = matched.groups()
        container = CONTAINER.match(path)
        route = f"{method} {CONTAINER.sub('/containers/{id}', path)}"
        return cls(route, container[1] if container else "", body)


def _length(lines: list[str]) -> int:
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    lengths = [value for name, value in fields if name.startswith("content-length")] or ["0"]
    if len(lengths) > 1 or any(name.startswith("transfer-encoding") for name, _ in fields):
        raise Refused("a body must have one Content-Length, and no Transfer-Encoding")
    if not re.fullmatch("[0-9]{1,6}", lengths[0]) or int(lengths[0]) > BODY_LIMIT:
        raise Refused(f"Content-Length is {lengths[0][:20]!r}, allowed is {BODY_LIMIT}")
    return int(lengths[0])


def json_of(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    :raises Refused: it is not a JSON object, or has a repeated key
    """
    try:
        found = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused("the body is not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated keys: Docker uses the last one, but not every parser does."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused(f"a key is repeated among {[name for name, _ in pairs]}")
    return found


def to_docker(request: str, body: bytes = b"") -> bytes:
    """A request to Docker. With HTTP/1.0, a connection has one request and ends after the response."""
    head = (
        f"{request} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer(status: str, message: str) -> bytes:
    """Our own response, in Docker's format."""
    body = json.dumps({"message": f"docker-gate: {message}"})
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()
