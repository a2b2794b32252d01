"""A client's request, read without trust; and how requests to Docker and answers of our own are written."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, NamedTuple

BODY_LIMIT = 65_536
REQUEST = re.compile(r"(GET|POST|DELETE) (?:/v1\.[0-9]+)?(/[A-Za-z0-9_/-]*)(?:\?[!-~]*)? HTTP/1\.1")
CONTAINER = re.compile(r"/containers/([0-9a-f]{64})(?![^/])")


class Refused(Exception):
    """A request that is not let through; the message says what of it."""

    status = "403 Forbidden"


class Unknown(Refused):
    """It is about a container that this gate did not create, or that is gone: to a client both are the same."""

    status = "404 Not Found"


class Request(NamedTuple):
    """What a client asks.

    :param route: method and path, with `{id}` for a container's
    :param container: that id, if there is one
    """

    route: str
    container: str
    body: bytes

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Request:
        """Read one, and nothing of what follows it.

        :raises Refused: it is not plain HTTP/1.1 with a body of a stated length, or it does not come whole
        """
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            if not (asked := REQUEST.fullmatch(first)):
                raise Refused(f"{first[:200]!r} is not served")
            body = await reader.readexactly(_length(lines))
        except (EOFError, OSError, asyncio.LimitOverrunError) as error:
            raise Refused("no whole request came") from error
        method, path = asked.groups()
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
    """The object that a body holds.

    :raises Refused: it holds none, or a key twice
    """
    try:
        found = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused("the body is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are there once: of two, Docker takes the last, and not every reader does."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused(f"a key is there twice among {[name for name, _ in pairs]}")
    return found


def to_docker(request: str, body: bytes = b"") -> bytes:
    """A request to Docker. By HTTP/1.0 a connection has one, and ends with its answer."""
    head = (
        f"{request} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer(status: str, message: str) -> bytes:
    """An answer of our own, in the form of Docker's."""
    body = json.dumps({"message": f"docker-gate: {message}"})
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()
