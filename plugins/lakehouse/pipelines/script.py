"""Flink SQL of `include/sql/` rendered outside of an operator, with the same `conn` and `var` that templates have there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk.execution_time.context import ConnectionAccessor, VariableAccessor
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.paths import SQL
from lakehouse.pipelines.statements import statements

#: Options of a session for a statement that ends; timestamps in it are UTC.
BATCH = {"execution.runtime-mode": "batch", "table.local-time-zone": "UTC"}


def render(script: str, **values: Any) -> str:
    """A script of `include/sql/`, rendered with these values."""
    environment = Environment(loader=FileSystemLoader(SQL), undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"literal": _literal, "sql_timestamp": _timestamp}
    environment.globals |= {
        "conn": ConnectionAccessor(),
        "var": {"value": VariableAccessor(deserialize_json=False), "json": VariableAccessor(deserialize_json=True)},
    }
    return environment.get_template(script).render(**values)


def catalog_statement() -> str:
    """The statement of `00-init.sql` that makes the Iceberg catalog known to a session."""
    return next(text for text in statements(render("00-init.sql")) if text.startswith("CREATE CATALOG"))


def _literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + str(text).replace("'", "''") + "'"


def _timestamp(epoch_ms: int) -> str:
    """A moment in UTC as a TIMESTAMP literal has it."""
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
