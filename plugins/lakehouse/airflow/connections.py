"""Airflow's connections, with every secret in them hidden from logs and rendered templates.

Airflow itself masks a connection's password and its `extra` as a whole, but not the single values inside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.execution_time.context import ConnectionAccessor
from airflow.sdk.log import mask_secret

from lakehouse.proxies import pass_by
from lakehouse.texts import sql_literal

if TYPE_CHECKING:
    from airflow.sdk import Connection

#: Names of extras that are addresses: of Iceberg's REST catalog and of the object store.
_ADDRESSES = ("uri", "s3.endpoint")
#: Names of extras that are secrets: of librdkafka, of Kafka's Java client, of Iceberg's catalogs and of the object store.
_SECRET = re.compile(r"password|secret|token|credential|jaas|access-key|key\.pem|keystore\.key", re.IGNORECASE)
#: A password within the configuration of a login module.
_IN_JAAS = re.compile(r"\bpassword=(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([^\s;\"']+))", re.IGNORECASE)


def get_connection(conn_id: str) -> Connection:
    """Return the connection, with its secrets masked and its hosts exempt from any proxy."""
    found = BaseHook.get_connection(conn_id)
    pass_by(found.host, *(found.extra_dejson.get(name) for name in _ADDRESSES))
    hide(found.extra_dejson)
    if found.password:
        _hide(found.password)
    return found


def hide(options: Mapping[str, Any]) -> None:
    """Mask the value of every option whose name says that it is a secret."""
    for name, value in options.items():
        if isinstance(value, str) and _SECRET.search(name):
            _hide(value)
            for found in _IN_JAAS.finditer(value):
                _hide(next(filter(None, found.groups()), ""))


def _hide(secret: str) -> None:
    for spelling in dict.fromkeys(_spellings(secret)):
        mask_secret(spelling)


def _spellings(secret: str) -> Iterator[str]:
    """The secret itself, as a SQL literal contains it, and as JSON does."""
    yield secret
    yield sql_literal(secret)[1:-1]
    yield json.dumps(secret)[1:-1]


class Connections(ConnectionAccessor):
    """What `conn` is in a template."""

    def __getattr__(self, conn_id: str) -> Any:
        return get_connection(conn_id)
