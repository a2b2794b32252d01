"""New columns of a CREATE TABLE are added to the existing table; any other difference is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from airflow.sdk.exceptions import AirflowFailException
from pyiceberg.types import StringType

from lakehouse.reconciliation.reconcile import reconcile
from lakehouse.tables.evolve import create_tables, evolve

TABLE = "iceberg_catalog.bronze.raw_trips"
Columns = dict[str, tuple[str, bool]]  # name -> type, nullable
HELD: Columns = {"fare": ("STRING", True), "kafka_offset": ("BIGINT", True)}


@dataclass
class Flink:
    """A session in which one statement declares some columns, and the table has others."""

    declared: Columns
    held: Columns
    changes: list[str] = field(default_factory=list)

    def execute(self, statement: str) -> list[list[object]]:
        if statement.startswith("ALTER"):
            self.changes.append(statement)
            self.held = self.held | self.declared
        if not (described := re.fullmatch(r"DESCRIBE (\S+)", statement)):
            return []
        columns = self.held if described[1] == TABLE else self.declared
        return [[name, *column, None, None, None] for name, column in columns.items()]


def script() -> list[str]:
    return [
        "CREATE CATALOG iceberg_catalog WITH ('type' = 'iceberg')",
        f"CREATE TABLE IF NOT EXISTS {TABLE} (fare STRING) WITH ()",
        "CREATE TABLE trip_events (payload BYTES) WITH ()",
    ]


def test_new_columns_are_added_once_at_any_place(iceberg):
    flink = Flink({"fare": HELD["fare"], "fee": ("STRING", True), "Tax": ("DECIMAL(10, 2)", True), **HELD}, HELD)
    assert evolve(flink, script()) == {TABLE: ["fee", "Tax"]}
    assert evolve(flink, script()) == {}
    assert flink.changes == [f"ALTER TABLE {TABLE} ADD (`fee` STRING, `Tax` DECIMAL(10, 2))"]


def test_without_new_columns_nothing_is_needed():
    """Not even the catalog, which does not exist here."""
    flink = Flink(HELD, HELD)
    assert evolve(flink, script()) == {}
    assert flink.changes == []


def test_a_concurrent_run_has_already_added_the_column(iceberg, monkeypatch):
    flink = Flink({**HELD, "fee": ("STRING", True)}, HELD)

    class Lock:
        """A lock held by another run, which adds the column meanwhile."""

        def __enter__(self) -> None:
            flink.held = flink.declared

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("lakehouse.tables.evolve.CoordinationHook.lock", lambda *_: Lock())
    assert evolve(flink, script()) == {}
    assert flink.changes == []


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"kafka_offset": HELD["kafka_offset"]}, f"{TABLE}.fare is no longer declared"),
        ({**HELD, "fare": ("DOUBLE", True)}, f"{TABLE}.fare is STRING, but declared DOUBLE"),
        ({**HELD, "fee": ("STRING", False)}, f"{TABLE}.fee is new and NOT NULL"),
    ],
)
def test_any_other_difference_is_refused_without_changes(iceberg, declared, message):
    flink = Flink({"new": ("STRING", True), **declared}, HELD)
    with pytest.raises(AirflowFailException, match=rf"{re.escape(message)}\. Only new nullable .* DAG replay"):
        evolve(flink, script())
    assert flink.changes == []


def test_a_dropped_column_is_not_added_again(iceberg, fill):
    """It would have the same name, but another id: it would be NULL in all older rows."""
    fill("bronze.raw_trips", 1)
    with iceberg.load_table("bronze.raw_trips").update_schema() as change:
        change.add_column("fare", StringType())
    with iceberg.load_table("bronze.raw_trips").update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("fare")
    flink = Flink(HELD, {"kafka_offset": HELD["kafka_offset"]})
    message = r"bronze\.raw_trips\.fare was dropped, and would be NULL in every older row\. .* undo the change"
    with pytest.raises(AirflowFailException, match=message):
        evolve(flink, script())
    assert flink.changes == []


@pytest.mark.parametrize("renamed", [False, True])
def test_a_lost_table_is_not_recreated(iceberg, fill, send, taxi, renamed):
    send(taxi.topic.name, 3)
    for table in taxi.tables:
        fill(table, 3 if table == "bronze.raw_trips" else 0)
    reconcile(taxi, taxi.stages["bronze"])
    if renamed:
        iceberg.rename_table("bronze.raw_trips", "bronze.mine")
    else:
        iceberg.drop_table("bronze.raw_trips")
    message = (
        r'Iceberg table bronze\.raw_trips is gone; it had 3 rows\. Options: .*"A table is gone" in docs/runbook\.md'
    )
    with pytest.raises(AirflowFailException, match=message):
        create_tables(taxi)
