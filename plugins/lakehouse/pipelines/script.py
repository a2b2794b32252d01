"""Flink SQL of `include/sql/`, rendered with Airflow's connections and variables (`conn`, `var`), and with a stage's pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.execution_time.context import VariableAccessor
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.airflow.connections import Connections
from lakehouse.airflow.hooks.iceberg import CATALOG, IcebergCatalogHook
from lakehouse.paths import SQL
from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.pipelines.params import parameters
from lakehouse.pipelines.statements import statements
from lakehouse.texts import sql_literal

#: Options of a session for a statement that ends; timestamps in it are UTC.
BATCH = {"execution.runtime-mode": "batch", "table.local-time-zone": "UTC"}


def environment() -> Environment:
    """What scripts of `include/sql/` are rendered by; a name that is not known is an error."""
    found = Environment(loader=FileSystemLoader(SQL), undefined=StrictUndefined, trim_blocks=True)
    found.filters |= {"literal": sql_literal, "sql_timestamp": _timestamp}
    found.globals |= {
        "conn": Connections(),
        "var": {"value": VariableAccessor(deserialize_json=False), "json": VariableAccessor(deserialize_json=True)},
    }
    return found


def render(script: str, **values: Any) -> str:
    """A script of `include/sql/`, rendered with these values."""
    return environment().get_template(script).render(**values)


def init_script(*namespaces: str) -> str:
    """What every session runs first: the catalog, the functions, and these namespaces."""
    return render("00-init.sql", catalog_options=IcebergCatalogHook().flink_options(), namespaces=namespaces)


def catalog_statement() -> str:
    """The statement that makes the Iceberg catalog known to a session."""
    return next(text for text in statements(init_script()) if text.startswith("CREATE CATALOG"))


def stage_script(
    pipeline: Pipeline, stage: Stage, tables: Mapping[str, str] | None = None, group_suffix: str = ""
) -> str:
    """All statements of a stage's job: its session's set-up, its tables, and the statement set that starts the job.

    :param tables: table as declared -> table that stands in for it, as in a replay
    :param group_suffix: what comes after the name of its consumer groups
    """
    tables = tables or {}
    namespaces = dict.fromkeys(tables.get(table, table).partition(".")[0] for table in stage.tables)
    stage_sql = render(
        stage.sql, **stage_values(pipeline, stage, tables), group=f"{stage.consumer_group}{group_suffix}"
    )
    return f"{init_script(*namespaces)};\n{stage_sql}"


def stage_values(pipeline: Pipeline, stage: Stage, tables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the SQL of a stage may use."""

    def full_name(table: str) -> str:
        return f"{CATALOG}.{(tables or {}).get(table, table)}"

    return {
        "pipeline": pipeline,
        "stage": stage,
        "contract": pipeline.contract,
        "params": parameters(pipeline),
        "source": None if stage.reads_topic else full_name(stage.source),
        "sinks": {role: full_name(table) for role, table in stage.sinks.items()},
    }


def _timestamp(epoch_ms: int) -> str:
    """A moment in UTC as a TIMESTAMP literal has it."""
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
