"""The schema registry (its connection leads to a Confluent-compatible API): where the contract of an event is registered."""

from __future__ import annotations

from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.exceptions import AirflowException


class SchemaRegistryHook(HttpHook):
    """Registers JSON Schemas; the connection is an ordinary http one."""

    def __init__(self, registry_conn_id: str = "schema_registry") -> None:
        super().__init__(http_conn_id=registry_conn_id)

    def register(self, subject: str, schema: str) -> int:
        """Register a JSON Schema under `subject` and return its id; the same text gives the same id.

        :raises AirflowException: the registry cannot be reached or refuses the schema
        """
        session = self.get_conn()
        url = self.url_from_endpoint(f"subjects/{subject}/versions")
        response = session.post(url, json={"schema": schema, "schemaType": "JSON"}, timeout=30)
        if not response.ok:
            raise AirflowException(
                f"The schema registry refused {subject}: {response.status_code} {response.text[:500]}"
            )
        return int(response.json()["id"])
