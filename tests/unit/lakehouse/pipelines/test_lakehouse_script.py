"""A stage's SQL is rendered from declaration and contract, for the live tables or for substitutes."""

from __future__ import annotations

import json
import re

import pytest

from lakehouse.pipelines.contract import read_contract
from lakehouse.pipelines.load import DeclarationError
from lakehouse.pipelines.script import catalog_statement, environment, init_script, render, rules_version, stage_script
from lakehouse.pipelines.statements import canonical, statements

ALL_TYPES = {
    "i": {"type": "integer", "x-type": "INT"},
    "l": {"type": ["integer", "null"]},
    "f": {"type": "number"},
    "d": {"type": "number", "x-type": "DECIMAL(8, 2)"},
    "b": {"type": "boolean"},
    "s": {"type": "string"},
    "t": {"type": "string", "format": "date-time"},
    "z": {"type": "string", "format": "date-time", "x-type": "TIMESTAMP_LTZ(6)"},
    "y": {"type": "string", "format": "date"},
}


@pytest.fixture
def script(taxi):
    """The statements of a stage of the taxi pipeline."""

    def script(stage: str, **stand_ins) -> list[str]:
        return statements(stage_script(taxi, taxi.stages[stage], **stand_ins))

    return script


@pytest.mark.parametrize(("stage", "sinks"), [("bronze", 2), ("silver", 3)])
def test_the_last_statement_starts_the_job(script, stage, sinks):
    *setup, start = script(stage)
    assert {statement.split()[0] for statement in setup} == {"CREATE"} | ({"SET"} if stage == "silver" else set())
    assert start.startswith("EXECUTE STATEMENT SET\nBEGIN")
    assert start.endswith("END")
    assert start.count("INSERT INTO") == sinks
    assert not any("{{" in statement or "{%" in statement for statement in (*setup, start))


def test_settings_reach_the_sql(script, connect):
    connect("iceberg_catalog", host="db.example", password="open'sesame", extra={"s3.endpoint": "http://s3.example"})
    connect("kafka_flink", extra={"sasl.jaas.config": "a 'quoted' thing;"})
    catalog, *rest = canonical(";\n".join(script("bronze")))
    assert "'uri' = 'jdbc:postgresql://db.example:1/iceberg'" in catalog
    assert "'jdbc.password' = 'open''sesame'" in catalog
    assert "'s3.endpoint' = 'http://s3.example'" in catalog
    topics = [text for text in rest if text.startswith("CREATE TABLE topic_")]
    assert len(topics) == 2
    for text in topics:
        assert "'topic' = 'taxi.raw_trips'" in text
        assert "'properties.sasl.jaas.config' = 'a ''quoted'' thing;'" in text


def test_parameters_reach_the_sql(script, monkeypatch):
    monkeypatch.setenv("PIPELINE_NYC_TAXI_PICKUP_FROM", "1999-09-09 00:00:00")
    assert any("TIMESTAMP '1999-09-09 00:00:00'" in text for text in script("silver"))


def test_a_catalog_of_another_type_is_passed_on(script, connect):
    connect("iceberg_catalog", extra={"type": "rest", "uri": "http://catalog.example", "warehouse": "s3://b/w"})
    catalog = canonical(";\n".join(script("bronze")))[0]
    assert "'catalog-type' = 'rest'" in catalog
    assert "'uri' = 'http://catalog.example'" in catalog
    assert "jdbc" not in catalog


def test_a_job_only_knows_its_own_tables_and_its_source(script):
    name = re.compile(r"iceberg_catalog\.(\w+\.\w+)")
    tables = {stage: set(name.findall(";".join(script(stage)))) for stage in ("bronze", "silver")}
    assert tables["bronze"] == {"bronze.raw_trips", "bronze.rejected_events"}
    assert tables["silver"] == {
        "bronze.raw_trips", "silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips",
    }  # fmt: skip


def test_tables_can_be_substituted(script, taxi):
    stand_ins = {
        "silver.cleaned_trips": "silver_replay_1.cleaned_trips",
        "bronze.raw_trips": "bronze_replay_1.raw_trips",
    }
    text = ";".join(script("silver", tables=stand_ins))
    assert "CREATE DATABASE IF NOT EXISTS iceberg_catalog.silver_replay_1" in text
    assert "INSERT INTO iceberg_catalog.silver_replay_1.cleaned_trips" in text
    assert "FROM iceberg_catalog.bronze_replay_1.raw_trips" in text
    assert "iceberg_catalog.silver.cleaned_trips" not in text
    assert "iceberg_catalog.silver.rejected_trips" in text
    groups = [
        set(re.findall(r"'properties\.group\.id' = '([^']+)'", ";".join(script("bronze", group_suffix=suffix))))
        for suffix in ("", "-x")
    ]
    assert groups[0] == {"lakehouse-nyc_taxi.bronze", "lakehouse-nyc_taxi.bronze-rejected"}
    assert groups[1] == {"lakehouse-nyc_taxi.bronze-x", "lakehouse-nyc_taxi.bronze-x-rejected"}


def test_a_new_field_of_the_contract_is_in_every_table_and_insert(taxi, tmp_path):
    contract = json.loads(taxi.contract.text)
    contract["properties"]["cbd_congestion_fee"] = {"type": ["number", "null"], "x-type": "DECIMAL(10, 2)"}
    (tmp_path / "new.json").write_text(json.dumps(contract))
    newer = taxi.model_copy(update={"contract": read_contract(tmp_path / "new.json")})
    bronze, silver = (";".join(statements(stage_script(newer, stage))) for stage in newer.stages.values())
    assert (
        bronze.count("cbd_congestion_fee") == 1 + 2 + 2
    )  # table, INSERT and SELECT, and the fields requested from both sources
    assert "`cbd_congestion_fee` DECIMAL(10, 2)" in silver
    assert "'cbd_congestion_fee does not fit DECIMAL(10,2)'" in silver
    assert silver.count("`cbd_congestion_fee`") > 8


@pytest.fixture
def of_type(tmp_path):
    """The macros' SQL for a field: parsed value, rule, and typed value."""
    (tmp_path / "all.json").write_text(json.dumps({"properties": ALL_TYPES}))
    contract = read_contract(tmp_path / "all.json")

    def of_type(name: str) -> tuple[str, str, str]:
        macros = environment().get_template("macros/fields.jinja").module
        field = contract[name]
        parts = (macros.parsed([field]), macros.misfit(field), macros.value(field))
        return tuple(" ".join(part.split()) for part in parts)

    return of_type


@pytest.mark.parametrize(
    ("name", "parsed", "misfit", "value"),
    [
        ("i", "json_number(`i`) AS `i__parsed`", "'i is not an integer'", "CAST(`i__parsed` AS INT)"),
        ("l", "json_number(`l`)", "'l is not an integer'", "ELSE TRY_CAST(`l` AS BIGINT) END"),
        ("f", "json_number(`f`)", "'f is not a finite number'", "`f__parsed`"),
        ("d", "json_number(`d`)", "'d does not fit DECIMAL(8,2)'", "CAST(`d__parsed` AS DECIMAL(8, 2))"),
        ("b", "WHEN 'true' THEN TRUE", "'b is neither true nor false'", "`b__parsed`"),
        ("s", "", "", "`s`"),
        ("t", "iso_timestamp(`t`)", "'t is unreadable'", "`t__parsed`"),
        ("z", "iso_instant(`z`)", "'z is unreadable'", "`z__parsed`"),
        ("y", "iso_timestamp(`y`)", "'y is unreadable'", "CAST(FLOOR(`y__parsed` TO DAY) AS DATE)"),
    ],
)
def test_every_type_is_parsed_checked_and_typed(of_type, name, parsed, misfit, value):
    found = of_type(name)
    assert parsed in found[0]
    assert misfit in found[1]
    assert value in found[2]
    assert (found[0] == "") == (parsed == "")
    assert (found[1] == "") == (misfit == "")


def test_a_session_for_a_query_only_needs_the_catalog():
    assert catalog_statement().startswith("CREATE CATALOG iceberg_catalog")
    assert "CREATE DATABASE" not in init_script()


def test_a_missing_value_is_an_error():
    with pytest.raises(Exception, match="accepted"):
        render("05-bronze.sql", sinks={})


class TestRulesVersion:
    """Each row of Silver has the version of the rules that it was evaluated by."""

    def test_every_table_and_insert_has_it(self, script, taxi):
        version = rules_version(taxi, taxi.stages["silver"])
        *setup, start = script("silver")
        assert sum("rules_version STRING" in text for text in setup) == 3
        assert (start.count("rules_version"), start.count(f"'{version}'")) == (3, 3)

    def test_parameters_change_it(self, taxi, monkeypatch):
        before = rules_version(taxi, taxi.stages["silver"])
        monkeypatch.setenv("PIPELINE_NYC_TAXI_PICKUP_TO", "2024-03-01 00:00:00")
        assert rules_version(taxi, taxi.stages["silver"]) != before

    def test_connections_do_not_change_it(self, taxi, connect):
        before = [rules_version(taxi, stage) for stage in taxi.stages.values()]
        connect("kafka_flink", extra={"sasl.jaas.config": "another"})
        connect("iceberg_catalog", host="db.example", password="another")
        assert [rules_version(taxi, stage) for stage in taxi.stages.values()] == before

    def test_it_is_the_same_in_a_replay(self, script, taxi):
        text = ";".join(script("silver", tables={"silver.cleaned_trips": "silver_replay_1.cleaned_trips"}))
        assert text.count(f"'{rules_version(taxi, taxi.stages['silver'])}'") == 3


def test_a_parameter_that_is_not_a_duration_is_named(taxi, monkeypatch):
    monkeypatch.setenv("PIPELINE_NYC_TAXI_ALLOWED_DISORDER", "a while")
    with pytest.raises(DeclarationError, match=r"params: 'a while' is not a duration\. Next: write it like 30s, 15m"):
        rules_version(taxi, taxi.stages["silver"])
