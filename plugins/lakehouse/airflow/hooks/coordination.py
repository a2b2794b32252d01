"""Locks and leases: who may do what now. They ride on a PostgreSQL database, by default the one that holds the catalog."""

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
    """One for each process: its pool of connections outlives a restart of the database."""
    from sqlalchemy import create_engine

    # A lock holds a connection, and no lock may wait for another's.
    return create_engine(url, pool_pre_ping=True, max_overflow=-1)


class CoordinationHook(BaseHook):
    """The database that locks and leases live in.

    Connection: host, port, schema (= database), login and password of a PostgreSQL database that every worker reaches. It is a
    connection of its own, so that the catalog may be one without a database (REST, Glue).
    """

    def __init__(self, coordination_conn_id: str = "coordination") -> None:
        super().__init__()
        self.conn_id = coordination_conn_id

    @cached_property
    def engine(self) -> Engine:
        return _engine(postgres_url(get_connection(self.conn_id)))

    @contextmanager
    def lock(self, name: str, limit_s: float = 300) -> Iterator[None]:
        """Hold the lock `name`; PostgreSQL frees it when the holder dies.

        :raises TimeoutError: somebody else held it for the whole limit
        :raises ServiceUnavailable: the database does not answer
        """
        from psycopg2.errors import LockNotAvailable
        from sqlalchemy import text
        from sqlalchemy.exc import OperationalError

        with answering("The database of locks", self.conn_id):
            connected = self.engine.connect()
        with connected as connection:
            with answering("The database of locks", self.conn_id):
                connection.execute(text(f"SET lock_timeout = {int(limit_s * 1000)}"))
                try:
                    connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": name})
                except OperationalError as error:
                    if not isinstance(error.orig, LockNotAvailable):
                        raise
                    raise TimeoutError(
                        f"Lock {name!r} was held by another run for {limit_s:g} s; try again when it has ended."
                    ) from error
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), {"name": name})


@contextmanager
def answering(what: str, conn_id: str) -> Iterator[None]:
    """Name the database and its connection when it does not answer.

    :raises ServiceUnavailable: it does not
    """
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        raise ServiceUnavailable.of(what, conn_id, error.orig) from error


def postgres_url(conn: Connection) -> str:
    """A connection to PostgreSQL as SQLAlchemy writes it."""
    from sqlalchemy import URL

    url = URL.create("postgresql+psycopg2", conn.login, conn.password, conn.host, conn.port, conn.schema)
    return url.render_as_string(hide_password=False)
