"""The PostgreSQL database for locks and leases, by default the one that holds the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from lakehouse.airflow.connections import get_connection
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy import Engine


@cache
def _engine(url: str) -> Engine:
    """One engine per process; its connection pool survives a restart of the database."""
    from sqlalchemy import create_engine

    # Each lock holds a connection. An unlimited pool keeps one lock from waiting for another's connection.
    return create_engine(url, pool_pre_ping=True, max_overflow=-1)


class CoordinationHook(BaseHook):
    """The database that holds locks and leases.

    Connection: host, port, schema (= database), login and password of a PostgreSQL database that every worker can reach. It is
    separate from the catalog's connection, because a catalog may have no database (REST, Glue).
    """

    def __init__(self, coordination_conn_id: str = "coordination") -> None:
        super().__init__()
        self.conn_id = coordination_conn_id

    @cached_property
    def engine(self) -> Engine:
        return _engine(postgres_url(get_connection(self.conn_id)))

    @contextmanager
    def lock(self, name: str, limit_s: float = 300) -> Iterator[None]:
        """Hold the advisory lock `name`; PostgreSQL frees it when the holder dies.

        :raises TimeoutError: it was not free within the limit
        :raises ServiceUnavailable: the database does not answer
        """
        from psycopg2.errors import LockNotAvailable
        from sqlalchemy import text
        from sqlalchemy.exc import OperationalError

        with answering("The lock database", self.conn_id):
            connected = self.engine.connect()
        with connected as connection:
            with answering("The lock database", self.conn_id):
                connection.execute(text(f"SET lock_timeout = {int(limit_s * 1000)}"))
                try:
                    connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": name})
                except OperationalError as error:
                    if not isinstance(error.orig, LockNotAvailable):
                        raise
                    raise TimeoutError(
                        f"Lock {name!r} was held by another run for {limit_s:g} s. Next: try again when that run has ended."
                    ) from error
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), {"name": name})


@contextmanager
def answering(what: str, conn_id: str) -> Iterator[None]:
    """Report a database that does not answer, by its name and connection.

    :raises ServiceUnavailable: the database does not answer
    """
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        raise ServiceUnavailable.of(what, conn_id, error.orig) from error


def postgres_url(conn: Connection) -> str:
    """The SQLAlchemy URL of a connection to PostgreSQL."""
    from sqlalchemy import URL

    url = URL.create("postgresql+psycopg2", conn.login, conn.password, conn.host, conn.port, conn.schema)
    return url.render_as_string(hide_password=False)
