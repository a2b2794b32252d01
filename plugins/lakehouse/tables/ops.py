"""The platform's own tables in the namespace `ops`, created when the first row is written; a few hundred bytes per row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table

MAINTENANCE_LOG, ERASURES = TABLES = ("ops.maintenance_log", "ops.erasures")
PROPERTIES = {
    "format-version": "2",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    # Operations on several tables may end at the same time.
    "commit.retry.num-retries": "20",
}


def append(name: str, schema: pa.Schema, row: Mapping[str, Any]) -> None:
    """Append one row to `ops.<table>`; concurrent commits do no harm."""
    import pyarrow as pa

    _table(name, schema).append(pa.Table.from_pylist([row], schema))


def rows(name: str, wanted: BooleanExpression) -> list[dict[str, Any]]:
    """The rows of `ops.<table>` that match a filter; none before the first row is written."""
    iceberg = IcebergCatalogHook()
    return iceberg.table(name).scan(wanted).to_arrow().to_pylist() if iceberg.exists(name) else []


def _table(name: str, schema: pa.Schema) -> Table:
    from pyiceberg.exceptions import TableAlreadyExistsError

    catalog = IcebergCatalogHook().catalog
    if not catalog.table_exists(name):
        catalog.create_namespace_if_not_exists(name.split(".")[0])
        try:
            return catalog.create_table(name, schema, properties=PROPERTIES)
        except TableAlreadyExistsError:  # another process has just created it
            pass
    return catalog.load_table(name)
