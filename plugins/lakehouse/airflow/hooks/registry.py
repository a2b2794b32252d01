"""The schema registry of the connection `schema_registry`, where the contracts of events are registered."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.connections import get_connection
from lakehouse.registry import Registry, RegistryError


class SchemaRegistryHook(BaseHook):
    """Registers JSON Schemas, and looks up their ids.

    Connection: `host` is the base URL of a Confluent-compatible API, with login and password if it requires them; the extra
    `verify` is the path of a CA certificate file (PEM).
    """

    def __init__(self, registry_conn_id: str = "schema_registry") -> None:
        super().__init__()
        self.conn_id = registry_conn_id

    @cached_property
    def registry(self) -> Registry:
        conn = get_connection(self.conn_id)
        login = (conn.login, conn.password or "") if conn.login else None
        return Registry(conn.host or "", login, conn.extra_dejson.get("verify"))

    def register(self, subject: str, schema: str) -> int:
        """Register a JSON Schema under `subject` and return its id; the same schema has the same id.

        :raises AirflowException: the registry cannot be reached, or rejects the schema, for example as incompatible
        """
        try:
            return self.registry.register(subject, schema)
        except RegistryError as error:
            raise AirflowException(str(error)) from error

    def latest_id(self, subject: str) -> int:
        """The id of the newest schema of `subject`.

        :raises AirflowException: the registry cannot be reached, or does not know the subject
        """
        try:
            return self.registry.latest_id(subject)
        except RegistryError as error:
            raise AirflowException(str(error)) from error
