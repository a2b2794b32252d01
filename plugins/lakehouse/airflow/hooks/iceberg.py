"""The Iceberg catalog: the same one that Flink writes through, read with pyiceberg."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

CATALOG = "iceberg_catalog"


@cache
def _catalog(uri: str, **properties: str) -> SqlCatalog:
    """One for each process: each has a pool of connections of its own, which outlives a restart of the database."""
    from pyiceberg.catalog.sql import SqlCatalog

    return SqlCatalog(CATALOG, uri=uri, init_catalog_tables="false", pool_pre_ping="true", **properties)


class IcebergCatalogHook(BaseHook):
    """Iceberg's JDBC catalog on PostgreSQL.

    Connection: host, port, schema (= database), login and password of the PostgreSQL database; the extras are catalog
    properties (`warehouse`, `s3.endpoint`, ...), the same for Flink and pyiceberg.
    """

    def __init__(self, iceberg_conn_id: str = "iceberg_catalog") -> None:
        super().__init__()
        self.conn_id = iceberg_conn_id

    @cached_property
    def catalog(self) -> SqlCatalog:
        from sqlalchemy import URL

        conn = self.get_connection(self.conn_id)
        url = URL.create("postgresql+psycopg2", conn.login, conn.password, conn.host, conn.port, conn.schema)
        uri = url.render_as_string(hide_password=False)
        return _catalog(uri, **conn.extra_dejson)

    def table(self, name: str) -> Table:
        """Load `namespace.table` as its newest metadata describes it.

        :raises AirflowException: there is no such table, or the catalog's database does not answer
        """
        from pyiceberg.exceptions import NoSuchTableError

        try:
            with self._answering():
                return self.catalog.load_table(name)
        except NoSuchTableError as error:
            raise AirflowException(
                f"Iceberg table {name} does not exist. The DAG flink_jobs creates it: run it first."
            ) from error

    def rows(self, *names: str) -> int:
        """Rows of the tables' current snapshots together, from their summaries: no data is read. Errors as of `table`."""
        return sum(row_count(self.table(name)) for name in names)

    def exists(self, name: str) -> bool:
        """Whether there is a table `namespace.table`.

        :raises AirflowException: the catalog's database does not answer
        """
        with self._answering():
            return not self._is_new() and self.catalog.table_exists(name)

    def tables(self, *namespaces: str) -> list[str]:
        """Every `namespace.table` of those of these namespaces that there are. Errors as of `exists`."""
        with self._answering():
            if self._is_new():
                return []
            there = [namespace for namespace in namespaces if self.catalog.namespace_exists(namespace)]
            return [".".join(table) for namespace in there for table in sorted(self.catalog.list_tables(namespace))]

    def _is_new(self) -> bool:
        """Whether nobody has written through it: the first who creates a table makes the catalog's own ones too."""
        from pyiceberg.catalog.sql import IcebergTables
        from sqlalchemy import inspect

        return not inspect(self.catalog.engine).has_table(IcebergTables.__tablename__)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Name the catalog when its database does not answer."""
        from sqlalchemy.exc import OperationalError

        try:
            yield
        except OperationalError as error:
            raise AirflowException(
                f"The Iceberg catalog (connection {self.conn_id!r}) does not answer: {error.orig}. "
                "Is it running? `make status` shows each part."
            ) from error

    @contextmanager
    def lock(self, name: str, limit_s: float = 300) -> Iterator[None]:
        """Hold the lock `name` for whoever shares this catalog; PostgreSQL frees it when the holder dies.

        :raises TimeoutError: somebody else held it for the whole limit
        :raises AirflowException: the catalog's database does not answer
        """
        from sqlalchemy import text
        from sqlalchemy.exc import OperationalError

        with self._answering():
            connected = self.catalog.engine.connect()
        with connected as connection:
            connection.execute(text(f"SET lock_timeout = {int(limit_s * 1000)}"))
            try:
                connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": name})
            except OperationalError as error:
                raise TimeoutError(
                    f"Lock {name!r} was held by another run for {limit_s:g} s; try again when it has ended."
                ) from error
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), {"name": name})


def row_count(table: Table) -> int:
    """Rows of the table's current snapshot, from its summary: no data is read."""
    snapshot = table.current_snapshot()
    return int(snapshot.summary["total-records"]) if snapshot and snapshot.summary else 0


def rows_by_partition(table: Table, field: str) -> dict[int, int]:
    """Value of the partition field -> rows of the current snapshot, from its manifests: no data is read.

    The cost follows the number of data files, which compaction keeps small.
    """
    # A job that finds nothing to write commits nothing, now and then: then there is no manifest, and no partition.
    if not row_count(table):
        return {}
    partitions = table.inspect.partitions().select(["partition", "record_count"]).to_pylist()
    return {row["partition"][field]: row["record_count"] for row in partitions}
