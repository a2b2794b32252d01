"""Secrets in connections: no log and no rendered template shows them, and SQL can contain any of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from airflow.sdk._shared.secrets_masker import DEFAULT_SENSITIVE_FIELDS, _secrets_masker, redact

from lakehouse.airflow.connections import get_connection
from lakehouse.airflow.hooks.coordination import CoordinationHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.airflow.hooks.registry import SchemaRegistryHook
from lakehouse.airflow.hooks.topic_reader import TopicReader
from lakehouse.pipelines.script import stage_script
from lakehouse.pipelines.statements import statements
from lakehouse.texts import sql_literal
from local.config import ROOT, read_env

SECRET = "open'sesame\"; DROP"
JAAS = 'x.ScramLoginModule required username="flink" password="open-sesame";'


@pytest.fixture(autouse=True)
def nothing_hidden_yet(monkeypatch) -> Iterator[None]:
    masker = _secrets_masker()
    with monkeypatch.context() as only_here:
        only_here.setattr(masker, "patterns", set())
        only_here.setattr(masker, "replacer", None)
        yield


@pytest.mark.parametrize(
    ("conn_id", "extra", "read"),
    [
        ("iceberg_catalog", {"s3.secret-access-key": SECRET}, lambda: IcebergCatalogHook().flink_options()),
        ("iceberg_catalog", {"type": "rest", "credential": SECRET}, lambda: IcebergCatalogHook().flink_options()),
        ("iceberg_catalog", {"type": "in-memory", "token": SECRET}, lambda: IcebergCatalogHook().catalog),
        ("kafka_default", {"bootstrap.servers": "127.0.0.1:1", "sasl.password": SECRET}, lambda: TopicHook("a").get_conn),
        ("kafka_default", {"bootstrap.servers": "127.0.0.1:1", "sasl.password": SECRET}, lambda: TopicReader("a").close()),
        ("kafka_flink", {"ssl.keystore.key": SECRET}, lambda: get_connection("kafka_flink")),
    ],
)  # fmt: skip
def test_a_secret_in_the_extras_is_masked(connect, conn_id, extra, read):
    connect(conn_id, extra=extra)
    assert SECRET in redact(f"before: {SECRET}")
    read()
    assert redact(f"it is {SECRET}.") == "it is ***."
    assert redact(json.dumps({"it": f"is {SECRET}"})) == '{"it": "is ***"}'


@pytest.mark.parametrize(
    ("conn_id", "read"),
    [
        ("iceberg_catalog", lambda: IcebergCatalogHook().flink_options()),
        ("coordination", lambda: CoordinationHook().engine),
        ("schema_registry", lambda: SchemaRegistryHook().registry),
    ],
)
def test_so_is_a_password_in_a_sql_literal(connect, conn_id, read):
    connect(conn_id, password=SECRET, login="me")
    read()
    assert redact(f"PASSWORD {sql_literal(SECRET)}") == "PASSWORD '***'"


@pytest.mark.parametrize("quote", ['"', "'", ""])
def test_so_is_the_password_of_a_login_module(connect, quote):
    connect("kafka_flink", extra={"sasl.jaas.config": JAAS.replace('"', quote)})
    get_connection("kafka_flink")
    assert redact("they said open-sesame") == "they said ***"
    assert redact("flink") == "flink"


@pytest.fixture
def bronze(taxi, connect) -> Callable[[], str]:
    connect("iceberg_catalog", password=SECRET, extra={"s3.secret-access-key": f"{SECRET} 2"})
    connect("kafka_flink", extra={"sasl.jaas.config": JAAS.replace("sesame", "'sesame'")})
    return lambda: stage_script(taxi, taxi.stages["bronze"])


def test_the_sql_of_a_job_is_shown_without_them(bronze):
    text = bronze()
    assert "sesame" in text
    assert "sesame" not in redact(text)
    assert "'topic' = 'taxi.raw_trips'" in redact(text)


def test_a_secret_with_a_quote_is_one_literal_of_the_sql(bronze):
    catalog, *others = statements(bronze())
    assert "'jdbc.password' = 'open''sesame\"; DROP'" in catalog
    assert "'s3.secret-access-key' = 'open''sesame\"; DROP 2'" in catalog
    assert any("password=\"open-''sesame''\";'" in text for text in others)
    assert not any(text.startswith("DROP") for text in others)


@pytest.mark.parametrize("stage", ["bronze", "silver"])
def test_a_parameter_with_a_quote_is_one_literal(taxi, monkeypatch, stage):
    monkeypatch.setenv("PIPELINE_NYC_TAXI_PICKUP_FROM", "2024'; DROP TABLE x; --")
    found = statements(stage_script(taxi, taxi.stages[stage], group_suffix="'s"))
    assert not any(text.startswith("DROP") for text in found)
    wanted = "'2024''; DROP TABLE x; --'" if stage == "silver" else "'lakehouse-nyc_taxi.bronze''s'"
    assert any(wanted in text for text in found)


@pytest.mark.parametrize(
    "name",
    [
        "credential", "s3.access-key-id", "s3.secret-access-key", "sasl.jaas.config", "sasl.password", "ssl.key.pem",
        "ssl.keystore.key", "token",
    ],
)  # fmt: skip
def test_airflows_pages_hide_every_secret_among_the_extras(name):
    """They know a secret by its name, and show the rest to whoever may look at connections."""
    ours = read_env(ROOT / "airflow.env")["AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES"].split(",")
    assert any(part in name for part in (*ours, *DEFAULT_SENSITIVE_FIELDS))
