"""Queries of metadata, and time travel: all engines give the same result."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.paths import SQL
from lakehouse.pipelines.script import render
from lakehouse.tables.duckdb_iceberg import IcebergDatabase
from lakehouse.tables.inspect import QUESTIONS, ask, ask_flink, query_at

NAME = "bronze.raw_trips"


def iso(epoch_ms: float) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat()


@pytest.fixture
def table(iceberg, fill):
    """Three commits of 1, 2 and 3 rows, one shortly after the other."""
    for rows in (1, 2, 3):
        fill(NAME, rows, partition=rows)
        time.sleep(0.01)
    return iceberg.load_table(NAME)


def test_history(table):
    ids = [snapshot.snapshot_id for snapshot in table.snapshots()]
    rows = ask("history", NAME)
    assert [(row["snapshot_id"], row["parent_id"]) for row in rows] == [
        (ids[2], ids[1]),
        (ids[1], ids[0]),
        (ids[0], None),
    ]
    assert len(ask("history", NAME, limit=1)) == 1


def test_snapshots(table):
    found = [
        (row["operation"], row["added_rows"], row["total_rows"], row["total_files"]) for row in ask("snapshots", NAME)
    ]
    assert found == [("append", "3", "6", "3"), ("append", "2", "3", "2"), ("append", "1", "1", "1")]


def test_files_and_size(table):
    files = ask("files", NAME)
    assert sorted(row["record_count"] for row in files) == [1, 2, 3]
    [size] = ask("table-size", NAME)
    assert (size["content"], size["files"], size["row_count"]) == (0, 3, 6)
    assert size["bytes"] == sum(row["file_size_in_bytes"] for row in files)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_table_without_a_snapshot(fill, question):
    fill(NAME, 0)
    assert ask(question, NAME) == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_flink_returns_the_same_columns(table, question):
    text = render(f"inspect/{question}.sql", namespace="bronze", table="raw_trips", limit=5)
    assert "iceberg_catalog.`bronze`.`raw_trips$" in text
    selected = text[text.index("SELECT") : text.index("FROM")]
    wanted = [part.split(" AS ")[-1].strip().strip("`") for part in selected.removeprefix("SELECT").split(",")]
    assert list(ask(question, NAME)[0]) == wanted


def test_every_query_in_the_folder_is_available():
    assert sorted(file.stem for file in (SQL / "inspect").iterdir()) == sorted([*QUESTIONS, "query-at"])


@pytest.fixture
def gateway(http, connect):
    """A gateway that returns one row for each statement."""
    connect("flink_sql_gateway", port=http.server_port)
    session = "/v1/sessions/s"
    http["POST /v1/sessions"] = {"sessionHandle": "s"}
    http[f"DELETE {session}"] = {}
    http[f"POST {session}/statements"] = {"operationHandle": "o"}
    http[f"GET {session}/operations/o/status"] = {"status": "FINISHED"}
    page = {"columns": [{"name": "row_count"}, {"name": "day"}], "data": [{"fields": [6, "2024-01-01"]}]}
    http[f"GET {session}/operations/o/result/0"] = {"resultType": "EOS", "results": page}
    return http


def test_with_flink(gateway):
    assert ask_flink("history", NAME, limit=7) == [{"row_count": 6, "day": "2024-01-01"}]
    assert gateway.requests[0][2] == {"properties": {"execution.runtime-mode": "batch", "table.local-time-zone": "UTC"}}
    catalog, used, question = [body["statement"] for _, path, body in gateway.requests if path.endswith("/statements")]
    assert catalog.startswith("CREATE CATALOG iceberg_catalog")
    assert used == "USE CATALOG iceberg_catalog"
    assert "`raw_trips$history`" in question
    assert "LIMIT 7" in question
    query_at(NAME, "2024-01-01T01:00:00+01:00", "SELECT MAX(a) FROM {table} GROUP BY b", engine="flink")
    at = [body["statement"] for _, path, body in gateway.requests if path.endswith("/statements")][-1]
    then = "iceberg_catalog.`bronze`.`raw_trips` FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01 00:00:00.000'"
    assert at.splitlines()[1] == f"SELECT MAX(a) FROM {then} GROUP BY b"


def test_time_travel_gives_the_same_rows_in_each_engine(table, tmp_path):
    query = "SELECT trip_id, kafka_partition FROM {table} ORDER BY ALL"
    for number, snapshot in enumerate(table.snapshots(), start=1):
        expected = [
            {"trip_id": f"trip {row}", "kafka_partition": partition}
            for row in range(number)
            for partition in range(max(row + 1, 1), number + 1)
        ]
        for at in (str(snapshot.snapshot_id), iso(snapshot.timestamp_ms), iso(snapshot.timestamp_ms + 5)):
            for engine in ("duckdb", "pyiceberg"):
                assert query_at(NAME, at, query, engine) == expected
        assert query_at(NAME, str(snapshot.snapshot_id)) == [{"row_count": number * (number + 1) // 2}]


def test_duckdb_selects_the_same_snapshot_by_time(table, tmp_path):
    with IcebergDatabase(tmp_path, "1GB") as database:
        for snapshot in table.snapshots():
            moment = iso(snapshot.timestamp_ms + 5)
            scan = f"iceberg_scan('{table.metadata_location}', snapshot_from_timestamp => '{moment[:23]}'::TIMESTAMP)"
            [rows] = database.connection.execute(f"SELECT count(*) FROM {scan}").fetchone()
            assert query_at(NAME, moment) == [{"row_count": rows}]


@pytest.mark.parametrize("at", ["2001-01-01", "1"])
def test_before_the_first_snapshot_there_are_no_rows(table, at):
    with pytest.raises(
        AirflowException, match=rf"bronze\.raw_trips has no snapshot of {at}: .*the oldest is of 20\d\d-"
    ):
        query_at(NAME, at)


def test_an_invalid_time_is_reported(table):
    with pytest.raises(AirflowException, match=r"'yesterday' is not a time in ISO 8601"):
        query_at(NAME, "yesterday")


def test_a_failed_query_is_reported(table):
    with pytest.raises(AirflowException, match=r"The query of bronze\.raw_trips at .* failed: .*no_column"):
        query_at(NAME, "2100-01-01", "SELECT no_column FROM {table}")
