"""The generated dbt models, built by dbt on an Iceberg table; their tests fail when the data is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from flight_samples import FLIGHTS, use_include
from pyiceberg.catalog.sql import SqlCatalog

from lakehouse.pipelines.load import declarations
from lakehouse.scaffold.write import new_pipeline
from tests.gold.gold import Dbt, Gold, statuses

pytestmark = pytest.mark.long

#: The field `order` is a keyword of SQL, and `on` of YAML.
SALES = [{"order": 1, "on": "2024-01-31", "price": 2.5, "paid": True}, {"order": 2, "on": "2024-02-01"}]
ARRIVED = datetime(2024, 3, 1, tzinfo=UTC)
FLIGHT_ROWS = pa.schema(
    [
        ("event_key", pa.string()), ("carrier", pa.string()), ("flight", pa.int64()), ("tail_num", pa.string()),
        ("dep_delay", pa.int64()), ("air_time", pa.float64()), ("time_hour", pa.timestamp("us", "UTC")),
        ("event_date", pa.date32()), ("kafka_partition", pa.int32()), ("kafka_offset", pa.int64()),
        ("processed_at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip
SALE_ROWS = pa.schema(
    [
        ("event_key", pa.string()), ("order", pa.int64()), ("on", pa.date32()), ("price", pa.float64()), ("paid", pa.bool_()),
        ("kafka_partition", pa.int32()), ("kafka_offset", pa.int64()), ("processed_at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Dbt]]:
    """Two new pipelines, and dbt for each: one with key and time, one with neither."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        include = use_include(patch, folder)
        made = {}
        for name, rows, options in (
            ("flights", FLIGHTS, ("carrier,flight,time_hour", "time_hour")),
            ("sales", SALES, ()),
        ):
            sample = folder / f"{name}.jsonl"
            sample.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
            assert all(file.exists() for file in new_pipeline(name, sample, *options))
            made[name] = Dbt(folder / name, include / "dbt", name)
        assert not declarations(include).problems
        yield made


class Silver:
    """An Iceberg table like the one that the generated SQL fills."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        folder.mkdir()
        catalog = SqlCatalog("made", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
        catalog.create_namespace("silver")
        self._table = catalog.create_table(f"silver.{name}", schema)
        self._schema = schema

    def append(self, *rows: dict) -> str:
        """Commit rows, and return the commit's metadata file."""
        self._table.append(pa.Table.from_pylist(list(rows), self._schema))
        return self._table.metadata_location


def flight(offset: int, hour: datetime, delay: int | None = 5, arrived: datetime = ARRIVED, **changes) -> dict:
    return {
        "event_key": f"key {offset}", "carrier": "UA", "flight": offset, "tail_num": None, "dep_delay": delay,
        "air_time": 1.5, "time_hour": hour, "event_date": hour.date(), "kafka_partition": 0, "kafka_offset": offset,
        "processed_at": arrived, **changes,
    }  # fmt: skip


JANUARY, FEBRUARY = datetime(2013, 1, 1, 23, tzinfo=UTC), datetime(2013, 2, 1, tzinfo=UTC)


@pytest.fixture
def flights(tmp_path: Path) -> Silver:
    return Silver(tmp_path / "silver", "flights", FLIGHT_ROWS)


@pytest.fixture
def gold(projects: dict[str, Dbt], tmp_path: Path) -> Callable[[str], Gold]:
    return lambda name: Gold(projects[name], tmp_path / f"gold-{name}")


def build(gold: Gold, metadata: str) -> dict[str, str]:
    """Build and test everything; return the status of each node."""
    gold.silver = metadata
    result = gold.dbt("build")
    assert result.success, [f"{node.node.name}: {node.message}" for node in result.result if node.status != "success"]
    return statuses(result)


def test_gold_of_flights_by_day(gold, flights):
    made = gold("flights")
    found = build(made, flights.append(flight(1, JANUARY), flight(2, JANUARY, None), flight(3, FEBRUARY, -7)))
    assert {"fct_flights", "mart_flights_daily", "mart_flights_daily_adds_up"} <= set(found)
    assert made.query(
        "SELECT event_date::text, event_count, dep_delay_sum, dep_delay_avg, dep_delay_min, dep_delay_max, dep_delay_nulls, "
        "air_time_sum, tail_num_nulls FROM mart_flights_daily ORDER BY event_date"
    ) == [("2013-01-01", 2, 5, 5.0, 5, 5, 1, 3.0, 2), ("2013-02-01", 1, -7, -7.0, -7, -7, 0, 1.5, 1)]


def test_late_flights_are_included_and_each_row_counts_once(gold, flights):
    made = gold("flights")
    build(made, flights.append(flight(1, JANUARY), flight(2, FEBRUARY)))
    later = ARRIVED + timedelta(minutes=30)
    build(made, flights.append(flight(3, JANUARY, 6, later)))
    build(made, flights.append(flight(4, JANUARY, 7, ARRIVED + timedelta(minutes=1))))  # visible after a newer one
    build(made, flights.append(flight(4, JANUARY, 8, later, kafka_partition=1, event_key="key 5")))
    assert made.query("SELECT kafka_partition, kafka_offset FROM fct_flights ORDER BY ALL") == [
        (0, 1), (0, 2), (0, 3), (0, 4), (1, 4),
    ]  # fmt: skip
    assert made.query("SELECT event_count, dep_delay_sum FROM mart_flights_daily ORDER BY event_date") == [
        (4, 26),
        (1, 5),
    ]
    incremental = made.rows()
    made.dbt("build", "--full-refresh")
    assert made.rows()["fct_flights"] == incremental["fct_flights"]
    assert made.rows()["mart_flights_daily"] == incremental["mart_flights_daily"]


def test_a_repeated_flight_is_a_late_duplicate(gold, flights):
    made = gold("flights")
    build(made, flights.append(flight(1, JANUARY), flight(2, JANUARY)))
    later = ARRIVED + timedelta(days=30)
    again = [flight(offset + 2, JANUARY, 99, later, event_key=f"key {offset}") for offset in (1, 2)]
    build(made, flights.append(*again))
    build(made, flights.append(flight(5, FEBRUARY, 5, later, event_key="key 5")))
    held = made.query("SELECT kafka_offset, dep_delay FROM fct_flights ORDER BY ALL")
    assert held == [(1, 5), (2, 5), (5, 5)]
    assert made.query("SELECT event_key, kafka_offset FROM late_duplicates ORDER BY ALL") == [
        ("key 1", 3),
        ("key 2", 4),
    ]
    made.dbt("build", "--full-refresh")
    assert made.query("SELECT kafka_offset, dep_delay FROM fct_flights ORDER BY ALL") == held
    assert made.query("SELECT count(*) FROM late_duplicates") == [(2,)]


def test_without_key_and_time_and_with_keywords_as_names(gold, tmp_path):
    sales = Silver(tmp_path / "silver", "sales", SALE_ROWS)
    row = {
        "event_key": "k",
        "order": 1,
        "on": None,
        "price": 2.5,
        "paid": None,
        "kafka_partition": 0,
        "processed_at": ARRIVED,
    }
    made = gold("sales")
    build(made, sales.append({**row, "kafka_offset": 0}, {**row, "event_key": "l", "kafka_offset": 1, "order": None}))
    assert made.query(
        "SELECT processed_date::text, event_count, order_sum, order_nulls, price_sum, on_nulls FROM mart_sales_daily"
    ) == [("2024-03-01", 2, 1, 1, 5.0, 2)]


DAMAGES = {
    "INSERT INTO staging.stg_flights FROM staging.stg_flights; UPDATE staging.stg_flights SET event_date = '2000-01-01'; "
    "INSERT INTO staging.stg_flights (kafka_offset) VALUES (9)": {
        "stg_flights_holds_each_position_once",
        "stg_flights_event_date_is_the_date_of_time_hour",
        *(
            f"not_null_stg_flights_{column}"
            for column in ("event_key", "carrier", "flight", "time_hour", "event_date", "processed_at")
        ),
    },
    "INSERT INTO fct_flights FROM fct_flights WHERE kafka_offset = 1": {
        "fct_flights_holds_every_event_of_silver",
        "fct_flights_holds_each_event_once",
        "mart_flights_daily_counts_every_event",
        "mart_flights_daily_adds_up",
    },
    "INSERT INTO mart_flights_daily FROM mart_flights_daily; INSERT INTO mart_flights_daily (event_count) VALUES (0), (NULL)": {
        "mart_flights_daily_counts_every_event",
        "mart_flights_daily_adds_up",
        "in_range_mart_flights_daily_1__event_count",
        "not_null_mart_flights_daily_event_count",
        "not_null_mart_flights_daily_event_date",
        "not_null_mart_flights_daily_last_processed_at",
        "unique_mart_flights_daily_event_date",
    },
    "INSERT INTO late_duplicates VALUES ('no key', 0, 9, now()), ('key 1', 0, 9, now()); DELETE FROM fct_flights": {
        "late_duplicates_holds_each_position_once",
        "relationships_late_duplicates_event_key__event_key__ref_fct_flights_",
        "mart_flights_daily_counts_every_event",
        "mart_flights_daily_adds_up",
    },
    "UPDATE mart_flights_daily SET air_time_sum = NULL": {"mart_flights_daily_adds_up"},
}


def test_every_generated_test_can_fail(projects, gold, flights, tmp_path):
    made = gold("flights")
    build(made, flights.append(flight(1, JANUARY), flight(2, FEBRUARY)))
    for number, (damage, tests) in enumerate(DAMAGES.items()):
        copy = made.copy(tmp_path / f"copy {number}")
        copy.query(damage)
        assert {name for name, status in statuses(copy.dbt("test")).items() if status == "fail"} == tests, damage
    nodes = projects["flights"].manifest["nodes"].values()
    assert {node["name"] for node in nodes if node["resource_type"] == "test"} == set().union(*DAMAGES.values())
