"""Health probes of services: each returns None if healthy, otherwise what it waits for."""

import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

Probe = Callable[[], "str | None"]
TIMEOUT_S = 10


def http_ok(port: int, path: str, expect: Callable[[dict[str, Any]], bool] = bool) -> Probe:
    """A probe for an HTTP 200 response with expected JSON; proxies of the environment apply, as for all other clients."""

    url = f"http://127.0.0.1:{port}{path}"

    def probe() -> str | None:
        try:
            with urllib.request.build_opener().open(url, timeout=TIMEOUT_S) as response:
                return None if expect(json.load(response)) else f"port {port}{path} answers, but is not ready yet"
        except urllib.error.HTTPError as error:
            return f"port {port}{path} answers {error.code}"
        except (OSError, http.client.HTTPException) as error:
            return f"port {port} does not answer yet ({getattr(error, 'reason', error)})"
        except (ValueError, LookupError, TypeError) as error:
            return f"port {port}{path} gave an unexpected answer ({error!r})"

    return probe


def postgres(port: int, password: str) -> Probe:
    """A probe for a successful connection to PostgreSQL."""

    def probe() -> str | None:
        try:
            psycopg.connect(postgres_url(port, "postgres", password), connect_timeout=TIMEOUT_S).close()
        except psycopg.OperationalError as error:
            return str(error).splitlines()[0]  # hints follow
        return None

    return probe


def postgres_url(port: int, name: str, password: str) -> str:
    """Connection string for a database and the role with the same name."""
    return f"host=127.0.0.1 port={port} user={name} dbname={name} password={password}"


def kafka(port: int) -> Probe:
    """A probe for a broker that returns its metadata."""

    def probe() -> str | None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S).close()
            AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}).list_topics(timeout=TIMEOUT_S)
        except (OSError, KafkaException) as error:
            return f"port {port} does not answer yet ({error})"
        return None

    return probe
