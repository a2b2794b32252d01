"""The generated Silver, rendered as a job's script: its statements have the same form as the first pipeline's."""

from __future__ import annotations

import json
import re

import duckdb
import pytest
from flight_samples import FLIGHTS

from lakehouse.paths import REPOSITORY
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.script import environment, stage_script
from lakehouse.pipelines.statements import canonical, statements

EVERY_TYPE = [
    {
        "id": 1, "amount": 1.5, "paid": True, "note": "a", "on": "2024-01-31", "at": "2024-01-31T10:00:00",
        "moment": "2024-01-31T10:00:00Z", "extras": {"a": 1}, "occurrence": 3, "event_key": "k", "event_date": "2024-01-31",
    }
]  # fmt: skip


@pytest.fixture
def silver(make):
    """The statements of a new pipeline's Silver, without those of every session."""

    def silver(rows=FLIGHTS, **options):
        return rendered(make(rows, **options))

    return silver


@pytest.fixture
def edited(make, include):
    """The statements after an edit of the generated SQL."""

    def edited(place, by, rows=FLIGHTS, **options):
        pipeline = make(rows, **options)
        file = include / "sql" / pipeline.stages["silver"].sql
        assert file.read_text().count(place) == 1
        file.write_text(file.read_text().replace(place, by))
        return rendered(pipeline)

    return edited


def rendered(pipeline):
    script = statements(stage_script(pipeline, pipeline.stages["silver"]))
    assert not any("{{" in text or "{%" in text or "[[" in text for text in script)
    return script[next(i for i, text in enumerate(script) if text.startswith("CREATE TABLE")) :]


def column_names(listed: str) -> list[str]:
    """The names in a list of columns or column definitions."""
    return [part.split()[0].strip("`") for part in re.split(r",(?![^()]*\))", listed)]


def tables(script: list[str]) -> dict[str, list[str]]:
    created = (re.match(r"CREATE TABLE IF NOT EXISTS (\S+) \((.*?)\n\) ", text, re.DOTALL) for text in script)
    return {found[1]: column_names(found[2]) for found in created if found}


def inserts(script: list[str]) -> dict[str, list[str]]:
    return {
        table: column_names(listed)
        for table, listed in re.findall(r"INSERT INTO (\S+) \((.*?)\)\s*SELECT", script[-1], re.DOTALL)
    }


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (FLIGHTS, {"key": "carrier,flight,time_hour", "time": "time_hour"}),
        (FLIGHTS, {"key": "flight"}),
        (FLIGHTS, {}),
        (EVERY_TYPE, {"key": "id", "time": "on"}),
        (EVERY_TYPE, {"time": "at"}),
        (EVERY_TYPE, {}),
        ([{"text": "alone"}], {}),
    ],
)
def test_every_row_is_written_to_one_of_three_tables(silver, rows, options):
    script = silver(rows, **options)
    assert [text.split()[0] for text in script] == ["CREATE"] * 3 + ["SET"] * 2 + ["CREATE"] * 4 + ["EXECUTE"]
    assert script[-1].startswith("EXECUTE STATEMENT SET\nBEGIN")
    assert script[-1].endswith("END")
    created = tables(script)
    assert list(created) == [
        f"iceberg_catalog.silver.flights{ending}" for ending in ("", "_rejected", "_duplicates")
    ]  # fmt: skip
    assert {table: sorted(columns) for table, columns in inserts(script).items()} == {
        table: sorted(columns) for table, columns in created.items()
    }
    for columns in created.values():
        assert len(set(columns)) == len(columns)
        assert columns[-4:] == ["kafka_partition", "kafka_offset", "processed_at", "rules_version"]
    accepted = script[0]
    assert "PARTITIONED BY" not in accepted  # a commit would write a file for each day if a file is sent at once
    assert script[3] == "SET 'table.exec.state.ttl' = '7 d'"
    assert script[4] == "SET 'table.local-time-zone' = 'UTC'"  # instants are converted to days in this zone
    wheres = re.findall(r"FROM (\w+)\s+WHERE ([^;]+);", script[-1])
    counter = wheres[0][1].split()[0]
    assert wheres == [
        ("counted_events", f"{counter} = 1"), ("counted_events", f"{counter} > 1"),
        ("judged_events", "reason IS NOT NULL"),
    ]  # fmt: skip
    case = script[6]
    assert "CASE" in case
    assert case.count("WHEN") >= 1
    assert "SELECT\n    *,\n" in script[5] or rows == [{"text": "alone"}]
    assert ", \nFROM" not in script[5]
    assert ",\nFROM" not in script[5]


def test_the_rules_of_flights(silver):
    script = canonical(";\n".join(silver(key="carrier,flight,time_hour", time="time_hour")))
    rules = re.findall(r"THEN '([^']+)'", script[6])
    assert rules == [
        "carrier is missing or unreadable", "flight is missing or not a number", "time_hour is missing or unreadable",
        "time_hour is outside the window", "flight is not an integer", "depDelay is not an integer",
        "airTime is not a finite number", "time_hour is unreadable",
    ]  # fmt: skip
    assert "CAST(`time_hour__parsed` AS TIMESTAMP(6)) < TIMESTAMP '1970-01-01 00:00:00'" in script[6]
    assert "iso_instant(`time_hour`) AS `time_hour__parsed`" in script[5]
    assert "json_number(`airTime`) AS `airTime__parsed`" in script[5]
    assert "CAST(FLOOR(CAST(`time_hour` AS TIMESTAMP(6)) TO DAY) AS DATE)" in script[-1]
    assert "PARTITION BY event_key ORDER BY processed_at" in script[-2]
    assert "`tail_num` STRING" in script[0]
    assert "`tailNum` STRING" in script[1]


def test_without_required_fields_an_event_needs_at_least_one_field(silver):
    script = silver([{"a": "x", "b": 1}])
    assert "WHEN COALESCE(`a`, `b`) IS NULL THEN 'no field of the contract is there'" in script[6]
    assert "REPLACE(`a`, '|', '||')" in script[-2]
    assert "CAST(`b` AS STRING)" in script[-2]


def test_the_file_is_short_and_begins_with_the_parts_to_edit(make, include):
    make(FLIGHTS, key="carrier,flight,time_hour", time="time_hour")
    text = (include / "sql/flights/06-silver.sql").read_text()
    shown = re.search(r"```sql\n(.*?)```", (REPOSITORY / "docs/pipelines.md").read_text(), re.DOTALL)[1]
    assert "{% set key = " in shown
    assert "{% set computed = " in shown
    assert shown in text.partition("CREATE")[0]
    assert sum(1 for line in text.splitlines() if line) <= 42


def test_a_computed_column_is_declared_once(edited):
    script = edited(
        "{% set computed = [", "{% set computed = [('late', 'BOOLEAN', 'dep_delay > 0'), ", time="time_hour"
    )
    accepted = tables(script)["iceberg_catalog.silver.flights"]
    assert accepted[-6:-4] == ["late", "event_date"]
    assert "late BOOLEAN," in script[0]
    assert inserts(script)["iceberg_catalog.silver.flights"] == accepted
    assert "`time_hour`, dep_delay > 0, CAST(FLOOR(" in canonical(script[-1])[0]


def test_the_accepted_table_can_be_partitioned_as_documented(edited, include):
    change = "computed, partitioned_by='event_date')"
    accepted, *others = edited("contract.fields, computed) }};", f"contract.fields, {change} }}}};", time="time_hour")
    assert change in " ".join((include / "pipelines/flights.md").read_text().split())
    assert ") PARTITIONED BY (event_date) WITH (" in accepted
    assert not any("PARTITIONED BY" in text for text in others)


def test_a_field_may_be_required_later(make, include):
    make([{"a": "x", "b": 1}])
    file = include / "contracts/flights.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"required": ["b"]}))
    rules = rendered(declarations(include).pipelines["flights"])[6]
    assert "WHEN `b__parsed` IS NULL THEN 'b is missing or not a number'" in rules
    assert "no field of the contract" not in rules


def test_a_field_may_have_the_name_of_an_additional_column(silver):
    accepted = tables(silver(EVERY_TYPE, key="id", time="at"))["iceberg_catalog.silver.flights"]
    assert accepted[0] == "event_key_"
    assert {"event_key", "event_date", "occurrence", "event_date_"} <= set(accepted)


def test_the_window_is_a_parameter(silver, monkeypatch):
    monkeypatch.setenv("PIPELINE_FLIGHTS_TIME_TO", "2014-01-01 00:00:00")
    assert ">= TIMESTAMP '2014-01-01 00:00:00'" in silver(time="time_hour")[6]


def test_the_key_compares_values_not_their_text(make):
    flights = make([{"a": "x", "b": "y", "n": 1}])
    key = environment().get_template("macros/fields.jinja").module.key(flights.contract.fields).replace("`", '"')
    rows = [
        ("a|b", "c", 1), ("a", "b|c", 1), ('a"|"b', "c", 1), ("a", 'b"|"c', 1), ("a", "", 1), ("a", None, 1), (None, "a", 1),
        ("", "a", 1), ("a", "b", None), ("a|", "b", 1), ("a", "|b", 1), ("a", "b", 1), ("a", "b", 11),
    ]  # fmt: skip
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE events (a VARCHAR, b VARCHAR, n BIGINT)")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows * 2)
        counts = connection.execute(f"SELECT count(*) FROM events GROUP BY {key}").fetchall()
    assert counts == [(2,)] * len(rows)
