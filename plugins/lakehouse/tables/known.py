"""Checks table names that a person enters."""

from __future__ import annotations

import re

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.pipelines.load import declarations

_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")


def require_tables(*names: str) -> None:
    """Check that tables exist.

    :raises AirflowFailException: one does not exist; the message names the declared tables
    :raises AirflowException: the catalog is unavailable
    """
    for name in names:
        if not _NAME.fullmatch(name) or not IcebergCatalogHook().exists(name):
            known = ", ".join(table for pipeline in declarations().pipelines.values() for table in pipeline.tables)
            raise AirflowFailException(
                f"There is no Iceberg table {name!r}. Next: choose one of {known} (flink_jobs creates missing ones)"
            )
