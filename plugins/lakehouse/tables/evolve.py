"""Schema evolution: columns that are new in a CREATE TABLE statement are added to the existing table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.coordination import CoordinationHook
from lakehouse.airflow.hooks.flink import SqlGatewayHook, SqlSession
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.pipelines.model import Pipeline
from lakehouse.pipelines.script import stage_script
from lakehouse.pipelines.statements import statements
from lakehouse.reconciliation import state as states

_CREATES = re.compile(r"CREATE (CATALOG|DATABASE|TABLE) (IF NOT EXISTS )?iceberg_catalog\b")
_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS (iceberg_catalog\.\w+\.\w+)")


class Column(NamedTuple):
    """A column as Flink describes it."""

    name: str
    type: str
    nullable: bool


def create_tables(pipeline: Pipeline) -> dict[str, list[str]]:
    """Create the missing tables of a pipeline's stages, and add new columns to existing ones.

    :return: table -> names of the added columns
    :raises AirflowFailException: a table differs in another way, or was dropped; nothing was created or added
    :raises AirflowException: the catalog is unavailable
    :raises FlinkError: Flink rejected a statement, or is unavailable
    """
    _refuse_gone(pipeline)
    scripts = [stage_script(pipeline, stage) for stage in pipeline.stages.values()]
    creating = dict.fromkeys(text for script in scripts for text in statements(script) if _CREATES.match(text))
    with SqlGatewayHook().session({}) as session:
        for statement in creating:
            session.execute(statement)
        return evolve(session, creating)


def _refuse_gone(pipeline: Pipeline) -> None:
    """Refuse to recreate a table that had rows: an empty one would hide that they are lost."""
    iceberg = IcebergCatalogHook()
    known = {stage.job: found for stage in pipeline.stages.values() if (found := states.load(stage))}
    for table in pipeline.tables:
        held = {job: rows for job, found in known.items() if (rows := sum(found.rows.get(table, {}).values()))}
        if held and not iceberg.exists(table):
            raise AirflowFailException(
                f"Iceberg table {table} is gone; it had {max(held.values()):,} rows. Options: rename it back; register its last "
                'metadata file; or have an empty one created, and rebuild it ("A table is gone" in docs/runbook.md)'
            )


def evolve(session: SqlSession, executed: Iterable[str]) -> dict[str, list[str]]:
    """Add missing nullable columns to each table, as its CREATE TABLE declares them. Jobs may write at the same time.

    :param executed: statements of the session; those that do not create an Iceberg table are ignored
    :return: table -> names of the added columns
    :raises AirflowFailException: a table differs in another way; no table was changed
    """
    definitions = {found[1]: text[found.end() :] for text in executed if (found := _CREATE.match(text))}
    if not _missing(session, definitions):
        return {}
    with CoordinationHook().lock("iceberg-tables"):
        missing = _missing(session, definitions)
        for table, columns in missing.items():
            added = ", ".join(f"`{column.name}` {column.type}" for column in columns)
            session.execute(f"ALTER TABLE {table} ADD ({added})")
    return {table: [column.name for column in columns] for table, columns in missing.items()}


def _missing(session: SqlSession, definitions: dict[str, str]) -> dict[str, list[Column]]:
    """Table -> columns to add, for tables that lack any."""
    missing, differences = {}, []
    for table, definition in definitions.items():
        # Have Flink parse the statement: create the same table temporarily, in this session only.
        declaration = f"declared_{table.replace('.', '_')}"
        session.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {declaration} {definition}")
        declared, held = _columns(session, declaration), _columns(session, table)
        new = [column for name, column in declared.items() if name not in held]
        differences += [f"{table}.{name} is no longer declared" for name in held if name not in declared]
        differences += [f"{table}.{column.name} is new and NOT NULL" for column in new if not column.nullable]
        differences += [
            f"{table}.{column.name} was dropped, and would be NULL in every older row"
            for column in new
            if column.name in _earlier_columns(table)
        ]
        differences += [
            f"{table}.{name} is {held[name].type}, but declared {column.type}"
            for name, column in declared.items()
            if name in held and held[name].type != column.type
        ]
        if new:
            missing[table] = new
    if differences:
        raise AirflowFailException(
            f"Tables differ from include/sql/: {'; '.join(differences)}. Only new nullable columns are added automatically; "
            "nothing was changed. Options: undo the change; give the field another name; or rebuild the tables with the DAG "
            "replay."
        )
    return missing


def _earlier_columns(table: str) -> set[str]:
    """Names of all columns that a table has ever had."""
    iceberg = IcebergCatalogHook()
    name = table.partition(".")[2]
    schemas = iceberg.table(name).metadata.schemas if iceberg.exists(name) else []
    return {field.name for schema in schemas for field in schema.fields}


def _columns(session: SqlSession, table: str) -> dict[str, Column]:
    columns = (Column(*row[:3]) for row in session.execute(f"DESCRIBE {table}"))
    return {column.name: column for column in columns}
