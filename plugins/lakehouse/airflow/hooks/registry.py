"""The schema registry (its connection leads to a Confluent-compatible API): where the contract of an event is registered."""

from __future__ import annotations

from typing import Any

from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.exceptions import AirflowException

# What is sent by a new contract must be good for whoever still reads by the one before: a field may come, and none may go
# or change its type. (BACKWARD refuses any new field where other fields are allowed: an old event may have held another type.)
COMPATIBILITY = "FORWARD"


class SchemaRegistryHook(HttpHook):
    """Registers JSON Schemas; the connection is an ordinary http one."""

    def __init__(self, registry_conn_id: str = "schema_registry") -> None:
        super().__init__(http_conn_id=registry_conn_id)

    def register(self, subject: str, schema: str) -> int:
        """Register a JSON Schema under `subject` and return its id; the same text gives the same id.

        :raises AirflowException: the registry cannot be reached or refuses the schema, as one that is not compatible
        """
        self._ask("PUT", f"config/{subject}", subject, {"compatibility": COMPATIBILITY})
        return int(
            self._ask("POST", f"subjects/{subject}/versions", subject, {"schema": schema, "schemaType": "JSON"})["id"]
        )

    def _ask(self, method: str, path: str, subject: str, body: dict[str, str]) -> dict[str, Any]:
        session = self.get_conn()
        response = session.request(method, self.url_from_endpoint(path), json=body, timeout=30)
        if not response.ok:
            raise AirflowException(
                f"The schema registry refused {subject}: {response.status_code} {response.text[:500]}"
            )
        return response.json()
