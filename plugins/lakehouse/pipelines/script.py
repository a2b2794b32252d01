"""Renders the Flink SQL in `include/sql/` with Airflow's connections and variables (`conn`, `var`), a pipeline and a stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.execution_time.context import VariableAccessor
from jinja2 import ChainableUndefined, Environment, FileSystemLoader, StrictUndefined

from lakehouse.airflow.connections import Connections
from lakehouse.airflow.hooks.iceberg import CATALOG, IcebergCatalogHook
from lakehouse.paths import DBT, SQL
from lakehouse.pipelines.load import DeclarationError
from lakehouse.pipelines.model import Pipeline, Stage, duration
from lakehouse.pipelines.params import Params, parameters
from lakehouse.pipelines.statements import canonical, statements
from lakehouse.texts import sql_literal

_TABLES = ("CREATE TABLE", "CREATE TEMPORARY TABLE")

#: Session options for bounded statements; timestamps are in UTC.
BATCH = {"execution.runtime-mode": "batch", "table.local-time-zone": "UTC"}


class _Empty(ChainableUndefined):
    """Stands for connections and variables where there is no Airflow to ask: whatever is taken from it is empty."""

    def __call__(self, *_: Any, **__: Any) -> _Empty:  # type: ignore[override]
        return self


def environment() -> Environment:
    """The Jinja environment for scripts in `include/sql/`; undefined names are errors."""
    found = Environment(loader=FileSystemLoader(SQL), undefined=StrictUndefined, trim_blocks=True)
    found.filters |= {"literal": sql_literal, "sql_timestamp": _timestamp, "seconds": _seconds, "seed": _seed}
    found.globals |= {
        "conn": Connections(),
        "var": {"value": VariableAccessor(deserialize_json=False), "json": VariableAccessor(deserialize_json=True)},
    }
    return found


def render(script: str, **values: Any) -> str:
    """Render a script in `include/sql/` with these values."""
    return environment().get_template(script).render(**values)


def init_script(*namespaces: str) -> str:
    """The statements that every session runs first: they create the catalog, the functions, and these namespaces."""
    return render("00-init.sql", catalog_options=IcebergCatalogHook().flink_options(), namespaces=namespaces)


def catalog_statement() -> str:
    """The statement that creates the Iceberg catalog in a session."""
    return next(text for text in statements(init_script()) if text.startswith("CREATE CATALOG"))


def stage_script(
    pipeline: Pipeline, stage: Stage, tables: Mapping[str, str] | None = None, group_suffix: str = ""
) -> str:
    """All statements of a stage's job: the session set-up, its tables, and the statement set that starts the job.

    :param tables: declared table -> table to use instead, for a replay
    :param group_suffix: suffix of its consumer groups
    """
    tables = tables or {}
    namespaces = dict.fromkeys(tables.get(table, table).partition(".")[0] for table in stage.tables)
    stage_sql = _stage_sql(pipeline, stage, tables, group_suffix, rules_version(pipeline, stage))
    return f"{init_script(*namespaces)};\n{stage_sql}"


def table_statements(pipeline: Pipeline, stage: Stage) -> list[str]:
    """The CREATE TABLE statements of a stage as declared, in canonical layout; neither Airflow nor a platform is asked."""
    found = environment()
    found.globals |= {"conn": _Empty(), "var": _Empty(), "rules_version": "", "group": ""}
    sql = found.get_template(stage.sql).render(_values(pipeline, stage, {}, pipeline.params))
    return [statement for statement in canonical(sql) if statement.startswith(_TABLES)]


def rules_version(pipeline: Pipeline, stage: Stage) -> str:
    """The version of a stage's rules, which its rows record: a hash of the stage's views, INSERTs, settings and parameters.

    It does not depend on comments, connections, or the location of the tables.
    """
    rules = [
        statement
        for statement in canonical(_stage_sql(pipeline, stage, {}, "", ""))
        if not statement.startswith(_TABLES)
    ]
    return hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:12]


def _stage_sql(
    pipeline: Pipeline, stage: Stage, tables: Mapping[str, str], group_suffix: str, rules_version: str
) -> str:
    found = environment()
    found.globals["rules_version"] = rules_version  # a global, so that imported macros see it too
    values = stage_values(pipeline, stage, tables)
    return found.get_template(stage.sql).render(**values, group=f"{stage.consumer_group}{group_suffix}")


def stage_values(pipeline: Pipeline, stage: Stage, tables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The variables that a stage's SQL may use."""
    return _values(pipeline, stage, tables or {}, parameters(pipeline))


def _values(pipeline: Pipeline, stage: Stage, tables: Mapping[str, str], params: Params) -> dict[str, Any]:
    def full_name(table: str) -> str:
        return f"{CATALOG}.{tables.get(table, table)}"

    return {
        "pipeline": pipeline,
        "stage": stage,
        "contract": pipeline.contract,
        "params": params,
        "source": None if stage.reads_topic else full_name(stage.source),
        "sinks": {role: full_name(table) for role, table in stage.sinks.items()},
        "aggregates": {name: full_name(table) for name, table in stage.aggregates.items()},
    }


def _timestamp(epoch_ms: int) -> str:
    """A time in UTC, formatted for a TIMESTAMP literal."""
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _seconds(text: str) -> int:
    """A duration such as `15m` or `30 s`, in seconds.

    :raises DeclarationError: it is not a duration
    """
    found = duration(text)
    if not isinstance(found, timedelta):
        raise DeclarationError(f"params: {text!r} is not a duration. Next: write it like 30s, 15m, 2h or 7d")
    return int(found.total_seconds())


def _seed(name: str) -> str:
    """The rows of a dbt seed (`<pipeline>/<name>.csv`), one per line, without the header."""
    return (DBT / "seeds" / name).read_text().partition("\n")[2]
