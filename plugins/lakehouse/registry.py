"""Client of a schema registry with Confluent's API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

#: Timeouts in seconds: connect, read, write, and get a connection from the pool. Requests are not retried here: callers do.
LIMITS_S = (3, 12, 12, 3)
# Events of a new contract must be readable with the previous one: fields may be added, but none removed or changed in type.
# (BACKWARD rejects any new field if additional properties are allowed: an old event may contain it with another type.)
COMPATIBILITY = "FORWARD"


class RegistryError(Exception):
    """The registry does not answer, or rejects the request; the message says what to do next."""


class Registry:
    """The registry at a URL.

    :param url: base URL of its API; may contain a login (`https://user:password@host`)
    :param login: user and password, instead of those in the URL
    :param ca_file: CA certificates (PEM) to verify the registry's with, instead of those of this machine
    """

    def __init__(self, url: str, login: tuple[str, str] | None = None, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        if login is None and parts.username:
            login = unquote(parts.username), unquote(parts.password or "")
        #: Without the login, so that no message shows it.
        self.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._options: dict[str, Any] = {"url": self.url, "timeout": LIMITS_S, "max.retries": 0}
        if login:
            self._options["basic.auth.user.info"] = ":".join(login)
        if ca_file:
            self._options["ssl.ca.location"] = ca_file

    def latest_id(self, subject: str) -> int:
        """The id of the subject's latest schema.

        :raises RegistryError: the subject does not exist, or the registry does not answer
        """
        from confluent_kafka.schema_registry import SchemaRegistryError

        with self._client(f"returned no id of {subject}") as client:
            try:
                return int(client.get_latest_version(subject).schema_id)  # type: ignore[arg-type]  # None before it has one
            except SchemaRegistryError as error:
                if error.http_status_code != 404:
                    raise
                raise RegistryError(
                    f"Schema registry {self.url} has no subject {subject}. "
                    "Next: register the contract (run the DAG flink_jobs)."
                ) from error

    def register(self, subject: str, schema: str) -> int:
        """Register a JSON Schema, which must be compatible with the previous one; the same schema has the same id.

        :raises RegistryError: the schema is rejected, or the registry does not answer
        """
        from confluent_kafka.schema_registry import Schema

        with self._client(f"did not register {subject}") as client:
            client.set_compatibility(subject, COMPATIBILITY)
            return int(client.register_schema(subject, Schema(schema, "JSON")))

    @contextmanager
    def _client(self, problem: str) -> Iterator[SchemaRegistryClient]:
        from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError

        try:
            with SchemaRegistryClient(self._options) as client:
                yield client
        except RegistryError:
            raise
        except SchemaRegistryError as error:
            raise RegistryError(
                f"Schema registry {self.url} {problem}: {error.http_status_code} {str(error.error_message)[:500]}. "
                "Next: fix what the message names, or look into the registry's log."
            ) from error
        # The client also raises errors of its HTTP library, and any error from parsing an invalid response.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise RegistryError(
                f"Schema registry {self.url} {problem}: {reason}. Next: start it, or correct its address."
            ) from error
