"""Scripts are split where the SQL Gateway needs it, and only there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.context import ConnectionAccessor, VariableAccessor
from jinja2 import StrictUndefined

from lakehouse.airflow.operators.flink import FlinkTablesOperator
from lakehouse.pipelines.statements import statements

SQL = Path(__file__).parents[4] / "include" / "sql"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", []),
        (" ;; \n;", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2 ;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT 'it''s; so'", ["SELECT ';'", "SELECT 'it''s; so'"]),
        ("SELECT `a;b`; SELECT 1", ["SELECT `a;b`", "SELECT 1"]),
        ("SELECT 1 -- and; more\n; SELECT /* a; b */ 2", ["SELECT 1", "SELECT \n 2"]),
        ("-- nothing;\n/* at; all */", []),
        ("SELECT '-- this'; SELECT '/* that */'", ["SELECT '-- this'", "SELECT '/* that */'"]),
        ("SELECT a FROM t /*+ O('a;b' = 'c') */; SELECT 1", ["SELECT a FROM t /*+ O('a;b' = 'c') */", "SELECT 1"]),
        ("BEGIN\nINSERT a;\nINSERT b;\nEND;\nSELECT 1", ["BEGIN\nINSERT a;\nINSERT b;\nEND", "SELECT 1"]),
        ("BEGIN SET CASE a END; SET b; end; SET c", ["BEGIN SET CASE a END; SET b; end", "SET c"]),
        ("SELECT CASE a THEN CASE b END END; SELECT 1", ["SELECT CASE a THEN CASE b END END", "SELECT 1"]),
        ("SET 'BEGIN'; SET `case`; SET 1 -- BEGIN\n; SET 2", ["SET 'BEGIN'", "SET `case`", "SET 1", "SET 2"]),
        ("SELECT begin_date, t.end_date, suitcase; SELECT 1", ["SELECT begin_date, t.end_date, suitcase", "SELECT 1"]),
    ],
)
def test_split(script, expected):
    assert statements(script) == expected


@pytest.fixture
def rendered(load_settings) -> Callable[..., list[str]]:
    """The statements of files in include/sql, rendered as a task renders them."""

    def render(*files: str) -> list[str]:
        with DAG("rendered", schedule=None, template_searchpath=str(SQL), template_undefined=StrictUndefined):
            operator = FlinkTablesOperator(task_id="job", sql=[*files])
        operator.resolve_template_files()
        variables = {"value": VariableAccessor(deserialize_json=False), "json": VariableAccessor(deserialize_json=True)}
        operator.render_template_fields({"conn": ConnectionAccessor(), "var": variables})
        return statements(";\n".join(operator.sql))

    return render


@pytest.mark.parametrize(("job", "tables"), [("05-bronze.sql", 2), ("06-silver.sql", 3)])
def test_the_scripts_of_a_job_start_it_with_their_last_statement(rendered, job, tables):
    *setup, start = rendered("00-init.sql", job)
    assert {statement.split()[0] for statement in setup} == {"CREATE"} | ({"SET"} if "silver" in job else set())
    assert start.startswith("EXECUTE STATEMENT SET\nBEGIN")
    assert start.endswith("END")
    assert start.count("INSERT INTO") == tables
    assert not any("{{" in statement or "{%" in statement for statement in (*setup, start))


def test_what_the_settings_say_reaches_the_sql(rendered, connect, monkeypatch):
    connect("iceberg_catalog", host="db.example", password="open sesame", extra={"s3.endpoint": "http://s3.example"})
    monkeypatch.setenv("AIRFLOW_VAR_TAXI_TOPIC", "other.trips")
    catalog, *_, payloads = rendered("00-init.sql")
    assert "'uri' = 'jdbc:postgresql://db.example:1/iceberg'" in catalog
    assert "'jdbc.password' = 'open sesame'" in catalog
    assert "'s3.endpoint' = 'http://s3.example'" in catalog
    assert "'topic' = 'other.trips'" in payloads


def test_a_variable_that_is_not_set_is_an_error(rendered, monkeypatch):
    monkeypatch.delenv("AIRFLOW_VAR_DEDUP_RETENTION")
    with pytest.raises(Exception, match="dedup_retention"):
        rendered("06-silver.sql")
