"""A schema registry with Confluent's API, through Confluent's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

#: Seconds to connect, to read, to write, and to get a connection. A request is sent once: whoever asks tries again.
LIMITS_S = (3, 12, 12, 3)
# What is sent by a new contract must be good for whoever still reads by the one before: a field may come, and none may go
# or change its type. (BACKWARD refuses any new field where other fields are allowed: an old event may have held another type.)
COMPATIBILITY = "FORWARD"


class RegistryError(Exception):
    """The registry does not answer, or answers no; the message says what to do next."""


class Registry:
    """The registry at a URL.

    :param url: base of its API; may hold a login (`https://user:password@host`)
    :param login: user and password, instead of those in the URL
    :param ca_file: certificates (PEM) that its own is checked by, instead of those that this machine trusts
    """

    def __init__(self, url: str, login: tuple[str, str] | None = None, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        if login is None and parts.username:
            login = unquote(parts.username), unquote(parts.password or "")
        #: Without the login, so that no message tells it.
        self.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._options: dict[str, Any] = {"url": self.url, "timeout": LIMITS_S, "max.retries": 0}
        if login:
            self._options["basic.auth.user.info"] = ":".join(login)
        if ca_file:
            self._options["ssl.ca.location"] = ca_file

    def latest_id(self, subject: str) -> int:
        """The id of the subject's newest schema.

        :raises RegistryError: there is none, or the registry does not answer
        """
        from confluent_kafka.schema_registry import SchemaRegistryError

        with self._client(f"gives no id of {subject}") as client:
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
        """Register a JSON Schema, which must be compatible with the one before; the same text gives the same id.

        :raises RegistryError: it is refused, or the registry does not answer
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
                "Next: correct what it names, or look into its log."
            ) from error
        # The client raises errors of its HTTP library, and of whatever it makes of an answer that is none.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise RegistryError(
                f"Schema registry {self.url} {problem}: {reason}. Next: start it, or correct its address."
            ) from error
