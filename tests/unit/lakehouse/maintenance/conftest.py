"""A table that is written as the streaming jobs write it, and a Flink that answers as told."""

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
    """The database outlives a test, and so would the leases."""
    yield
    _rows().drop(iceberg.engine, checkfirst=True)


@pytest.fixture
def trips(iceberg) -> Table:
    """A table kept by day, without a snapshot."""
    iceberg.create_namespace("silver")
    with iceberg.create_table_transaction(NAME, SCHEMA) as draft:
        draft.update_spec().add_identity("pickup_date").commit()
    return iceberg.load_table(NAME)


@pytest.fixture
def plant() -> Callable[..., Path]:
    """Put a file into a table's folder that the table knows nothing of, ten days old."""

    def plant(table: Table, below: str, days: float = 10, text: str = "x") -> Path:
        path = Path("/", Location.parse(table.location()).path, below)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        age(path, days * 86_400)
        return path

    return plant


@pytest.fixture
def flink(http, connect) -> Flink:
    """Connected, running no job, protecting nothing."""
    connect("flink_rest", port=http.server_port)
    connect("flink_sql_gateway", port=http.server_port)
    return Flink(http)
