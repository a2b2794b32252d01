"""Tables that a person names: each must be there before anything is done to it."""

from __future__ import annotations

import re

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.pipelines.load import declarations

_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")


def require_tables(*names: str) -> None:
    """Refuse the name of a table that there is not.

    :raises AirflowFailException: names the tables that are declared
    :raises AirflowException: the catalog does not answer
    """
    for name in names:
        if not _NAME.fullmatch(name) or not IcebergCatalogHook().exists(name):
            known = ", ".join(table for pipeline in declarations().pipelines.values() for table in pipeline.tables)
            raise AirflowFailException(
                f"There is no Iceberg table {name!r}. Next: give one of {known} (flink_jobs creates those that are missing)"
            )
