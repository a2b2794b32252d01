"""Refuses what a DAG file must not do at import, and records it in case the file swallows the error."""

from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
from airflow.secrets import BaseSecretsBackend

refused: list[str] = []


class NoSecrets(BaseSecretsBackend):
    """A secrets backend that Airflow uses first for connections and variables, and that has none."""

    def get_connection(self, conn_id, *_, **__):
        self._refuse(f"the connection {conn_id!r}")

    def get_variable(self, key, *_, **__):
        self._refuse(f"the variable {key!r}")

    def _refuse(self, what):
        refused.append(what)
        # The only error that ends the search: after any other, Airflow uses the next backend.
        raise AirflowSecretsBackendAccessDenied(f"A DAG file reads {what} at import")


def refuse_network(event: str, args: tuple) -> None:
    """An audit hook of the interpreter (`sys.addaudithook`)."""
    if event in {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}:
        refused.append(f"the network: {event} {args[1:]}")
        raise OSError(f"A DAG file uses {refused[-1]} at import")
