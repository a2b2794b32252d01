"""The Iceberg catalog that Flink writes through, accessed with pyiceberg."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.connections import get_connection
from lakehouse.airflow.hooks.coordination import answering, postgres_url
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.typedef import Identifier
    from sqlalchemy import ColumnElement

CATALOG = "iceberg_catalog"

#: The latest version of each table that this process has loaded, by catalog and table.
_lazy_tables: dict[tuple[Catalog, Identifier], Table] = {}


@cache
def _catalog(**properties: str) -> Catalog:
    """One catalog per process; its connection pool survives a restart of the database."""
    from pyiceberg.catalog import load_catalog

    logging.getLogger("pyiceberg.io").setLevel(logging.WARNING)  # it logs each load of a table whose location is a path
    return load_catalog(CATALOG, **properties)


class IcebergCatalogHook(BaseHook):
    """The Iceberg catalog, the same for Flink and pyiceberg.

    Connection: host, port, schema (= database), login and password of the PostgreSQL database of a JDBC catalog; the extras are
    catalog properties (`warehouse`, `s3.endpoint`, ...). With an extra `type` (rest, glue, ...) it is a catalog of that type,
    and the extras are all of its properties (`uri`, `credential`, ...).
    """

    def __init__(self, iceberg_conn_id: str = "iceberg_catalog") -> None:
        super().__init__()
        self.conn_id = iceberg_conn_id

    @cached_property
    def catalog(self) -> Catalog:
        conn = get_connection(self.conn_id)
        properties = {name: str(value) for name, value in conn.extra_dejson.items()}
        if "type" in properties:
            return _catalog(**properties)
        own = {"type": "sql", "uri": postgres_url(conn), "init_catalog_tables": "false", "pool_pre_ping": "true"}
        return _catalog(**own, **properties)

    def flink_options(self) -> dict[str, str]:
        """The options of Flink's CREATE CATALOG for the same catalog."""
        conn = get_connection(self.conn_id)
        properties = {name: str(value) for name, value in conn.extra_dejson.items()}
        if kind := properties.pop("type", None):
            return {"catalog-type": kind, **properties}
        return {
            "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
            "uri": f"jdbc:postgresql://{conn.host}:{conn.port}/{conn.schema}",
            "jdbc.user": conn.login or "",
            "jdbc.password": conn.password or "",
            "jdbc.schema-version": "V1",
            **properties,
        }

    @property
    def is_database(self) -> bool:
        """Whether the catalog is a database, in which one transaction can rename several tables."""
        from pyiceberg.catalog.sql import SqlCatalog

        return isinstance(self.catalog, SqlCatalog)

    def table(self, name: str) -> Table:
        """Load `namespace.table` from its current metadata.

        :raises AirflowException: there is no such table
        :raises ServiceUnavailable: the catalog does not answer, or the warehouse cannot be read
        """
        with self._there(name):
            return self.catalog.load_table(name)

    def lazy_table(self, name: str) -> Table:
        """Load a table read-only, for its latest commits: fast for any number of commits. Errors as in `table`.

        A version that this process has already loaded is not read again.
        """
        with self._there(name):
            return self._lazy_table(tuple(name.split(".")))

    def lazy_tables(self) -> Iterator[Table]:
        """Every table of the catalog, loaded as by `lazy_table`. Errors as in `exists`."""
        with self.answering():
            for identifier in self._identifiers():
                yield self._lazy_table(identifier)

    def _lazy_table(self, identifier: Identifier) -> Table:
        from pyiceberg.catalog.sql import SqlCatalog

        from lakehouse.tables.lazy_table import load_lazily

        catalog = self.catalog
        if not isinstance(catalog, SqlCatalog):  # the other catalogs return the metadata itself
            return catalog.load_table(identifier)
        location = _metadata_location(catalog, identifier)
        known = _lazy_tables.get((catalog, identifier))
        if known is None or known.metadata_location != location:
            known = _lazy_tables[catalog, identifier] = load_lazily(identifier, location, catalog.properties)
        return known

    @contextmanager
    def _there(self, name: str) -> Iterator[None]:
        """Report a missing table together with the next step; other errors as in `answering`."""
        from pyiceberg.exceptions import NoSuchTableError
        from sqlalchemy.exc import ProgrammingError

        try:
            with self.answering():
                yield
        except (NoSuchTableError, ProgrammingError) as error:  # the latter: nothing was written through the catalog yet
            raise AirflowException(
                f"Iceberg table {name} does not exist. Next: run the DAG flink_jobs, which creates it."
            ) from error

    def rows(self, *names: str) -> int:
        """Total rows of the tables' current snapshots, from their summaries: no data is read. Errors as in `table`."""
        return sum(row_count(self.table(name)) for name in names)

    def exists(self, name: str) -> bool:
        """Whether the table `namespace.table` exists.

        :raises ServiceUnavailable: the catalog does not answer
        """
        with self.answering():
            return not self._is_new() and self.catalog.table_exists(name)

    def every_table(self) -> Iterator[Table]:
        """Every table of the catalog, in all namespaces and their children. Errors as in `exists`."""
        with self.answering():
            for identifier in self._identifiers():
                yield self.catalog.load_table(identifier)

    def _identifiers(self) -> Iterator[Identifier]:
        if not self._is_new():
            yield from self._identifiers_below(())

    def _identifiers_below(self, parent: Identifier) -> Iterator[Identifier]:
        for namespace in self.catalog.list_namespaces(parent):
            yield from self.catalog.list_tables(namespace)
            yield from self._identifiers_below(namespace)

    def _is_new(self) -> bool:
        """Whether nothing was written through the catalog yet: the first writer also creates the catalog's own tables."""
        from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
        from sqlalchemy import inspect

        if not isinstance(self.catalog, SqlCatalog):
            return False
        return not inspect(self.catalog.engine).has_table(IcebergTables.__tablename__)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Report a catalog or warehouse that is unavailable while tables and their files are read.

        :raises ServiceUnavailable: the catalog does not answer, or a file cannot be read
        """
        from botocore.exceptions import BotoCoreError
        from pyarrow import ArrowException
        from pyiceberg.exceptions import RESTError
        from requests import RequestException

        try:
            with answering("The Iceberg catalog", self.conn_id):
                yield
        except (RESTError, RequestException) as error:
            raise ServiceUnavailable.of("The Iceberg catalog", self.conn_id, error) from error
        except (ArrowException, BotoCoreError, OSError) as error:
            raise ServiceUnavailable.of(
                "The warehouse of the Iceberg catalog", self.conn_id, error, "cannot be read"
            ) from error


def is_table(catalog: SqlCatalog, identifier: Identifier) -> tuple[ColumnElement[bool], ...]:
    """Conditions that select a table's row (`IcebergTables`) in the catalog's database."""
    from pyiceberg.catalog.sql import IcebergTables

    *namespace, name = identifier
    return (
        IcebergTables.catalog_name == catalog.name,
        IcebergTables.table_namespace == ".".join(namespace),
        IcebergTables.table_name == name,
    )


def _metadata_location(catalog: SqlCatalog, identifier: Identifier) -> str:
    """Location of a table's current metadata file.

    :raises NoSuchTableError: there is no such table
    """
    from pyiceberg.catalog.sql import IcebergTables
    from pyiceberg.exceptions import NoSuchTableError
    from sqlalchemy import select

    wanted = select(IcebergTables.metadata_location).where(*is_table(catalog, identifier))
    with catalog.engine.connect() as connection:
        location = connection.execute(wanted).scalar()
    if not location:
        raise NoSuchTableError(f"Table does not exist: {'.'.join(identifier)}")
    return location


def row_count(table: Table) -> int:
    """Rows of the table's current snapshot, from its summary: no data is read."""
    return rows_of(table.current_snapshot())


def rows_of(snapshot: Snapshot | None) -> int:
    """Rows of a snapshot, from its summary; 0 for None."""
    return _total(snapshot, "records")


def summary_of(snapshot: Snapshot | None) -> Mapping[str, str]:
    """The summary properties of a snapshot; empty for None or a snapshot without a summary."""
    return snapshot.summary.additional_properties if snapshot and snapshot.summary else {}


def equal(**values: str | bool) -> BooleanExpression:
    """A scan filter: each of these columns has this value."""
    from pyiceberg.expressions import AlwaysTrue, And, EqualTo

    # The constructor is inherited, which pydantic's mypy plugin does not see.
    return And(AlwaysTrue(), *(EqualTo(name, value) for name, value in values.items()))  # type: ignore[call-arg, misc]


def data_files(snapshot: Snapshot | None) -> int:
    """Number of data files of a snapshot, from its summary; 0 for None."""
    return _total(snapshot, "data-files")


def surplus_files(snapshot: Snapshot | None, target_bytes: int) -> int:
    """Number of data files beyond what the snapshot's bytes would fill, from its summary.

    :param target_bytes: size of a full file
    """
    return max(0, data_files(snapshot) - math.ceil(_total(snapshot, "files-size") / target_bytes))


def _total(snapshot: Snapshot | None, what: str) -> int:
    return int(summary_of(snapshot).get(f"total-{what}", 0))
