"""Flink SQL of `include/sql/`, rendered with Airflow's connections and variables (`conn`, `var`), and with a stage's pipeline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.execution_time.context import VariableAccessor
from jinja2 import ChainableUndefined, Environment, FileSystemLoader, StrictUndefined

from lakehouse.airflow.connections import Connections
from lakehouse.airflow.hooks.iceberg import CATALOG, IcebergCatalogHook
from lakehouse.paths import SQL
from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.pipelines.params import Params, parameters
from lakehouse.pipelines.statements import canonical, statements
from lakehouse.texts import sql_literal

_TABLES = ("CREATE TABLE", "CREATE TEMPORARY TABLE")

#: Options of a session for a statement that ends; timestamps in it are UTC.
BATCH = {"execution.runtime-mode": "batch", "table.local-time-zone": "UTC"}


class _Empty(ChainableUndefined):
    """Stands for connections and variables where there is no Airflow to ask: whatever is taken from it is empty."""

    def __call__(self, *_: Any, **__: Any) -> _Empty:  # type: ignore[override]
        return self


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
    stage_sql = _stage_sql(pipeline, stage, tables, group_suffix, rules_version(pipeline, stage))
    return f"{init_script(*namespaces)};\n{stage_sql}"


def table_statements(pipeline: Pipeline, stage: Stage) -> list[str]:
    """The CREATE TABLE statements of a stage as declared, in canonical layout; neither Airflow nor a platform is asked."""
    found = environment()
    found.globals |= {"conn": _Empty(), "var": _Empty(), "rules_version": "", "group": ""}
    sql = found.get_template(stage.sql).render(_values(pipeline, stage, {}, pipeline.params))
    return [statement for statement in canonical(sql) if statement.startswith(_TABLES)]


def rules_version(pipeline: Pipeline, stage: Stage) -> str:
    """What each row says of the rules that judged it: a fingerprint of the stage's views, INSERTs, settings and parameters.

    It does not change with comments, connections, or the place of the tables.
    """
    judging = [
        statement
        for statement in canonical(_stage_sql(pipeline, stage, {}, "", ""))
        if not statement.startswith(_TABLES)
    ]
    return hashlib.sha256(json.dumps(judging).encode()).hexdigest()[:12]


def _stage_sql(
    pipeline: Pipeline, stage: Stage, tables: Mapping[str, str], group_suffix: str, rules_version: str
) -> str:
    found = environment()
    found.globals["rules_version"] = rules_version  # macros see it, whoever imports them
    values = stage_values(pipeline, stage, tables)
    return found.get_template(stage.sql).render(**values, group=f"{stage.consumer_group}{group_suffix}")


def stage_values(pipeline: Pipeline, stage: Stage, tables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the SQL of a stage may use."""
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
    }


def _timestamp(epoch_ms: int) -> str:
    """A moment in UTC as a TIMESTAMP literal has it."""
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
