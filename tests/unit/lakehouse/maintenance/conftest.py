"""A table like those of the streaming jobs, and a stub of Flink."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyiceberg.table import Table
from streamed import NAME, SCHEMA, Flink, age

from lakehouse.maintenance.lease import _rows
from lakehouse.maintenance.locations import Location


@pytest.fixture(autouse=True)
def no_lease_left(iceberg) -> Iterator[None]:
    """Drop the leases after each test, because the database outlives it."""
    yield
    _rows().drop(iceberg.engine, checkfirst=True)


@pytest.fixture
def trips(iceberg) -> Table:
    """A table that is partitioned by day, without a snapshot."""
    iceberg.create_namespace("silver")
    with iceberg.create_table_transaction(NAME, SCHEMA) as draft:
        draft.update_spec().add_identity("pickup_date").commit()
    return iceberg.load_table(NAME)


@pytest.fixture
def plant() -> Callable[..., Path]:
    """Put an unreferenced file, ten days old, into a table's folder."""

    def plant(table: Table, below: str, days: float = 10, text: str = "x") -> Path:
        path = Path("/", Location.parse(table.location()).path, below)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        age(path, days * 86_400)
        return path

    return plant


@pytest.fixture
def flink(http, connect) -> Flink:
    """Flink without running jobs and protected snapshots."""
    connect("flink_rest", port=http.server_port)
    connect("flink_sql_gateway", port=http.server_port)
    return Flink(http)
