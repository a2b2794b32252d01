"""DuckDB finds its extensions without a download, and gets the object store's keys unchanged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import duckdb
import pytest

from lakehouse.paths import REPOSITORY
from lakehouse.tables.duckdb_access import EXTENSIONS, allow_s3, load_extensions

AWS = (
    "ACCESS_KEY_ID",
    "SECRET_ACCESS_KEY",
    "SESSION_TOKEN",
    "REGION",
    "DEFAULT_REGION",
    "ENDPOINT_URL",
    "ENDPOINT_URL_S3",
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in [*(f"AWS_{name}" for name in AWS), "AWS_CA_BUNDLE"]:
        monkeypatch.delenv(name, raising=False)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"LAKEHOUSE_READER_{name}", raising=False)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    config = {"autoinstall_known_extensions": "false", "allow_unredacted_secrets": "true"}
    with duckdb.connect(config=config) as opened:
        load_extensions(opened)
        yield opened


def secret(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """DuckDB's secret."""
    [(text,)] = connection.execute("SELECT secret_string FROM duckdb_secrets(redact = false)").fetchall()
    return dict(part.partition("=")[::2] for part in text.split(";"))


def test_extensions_come_from_packages(connection):
    loaded = connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded").fetchall()
    assert set(EXTENSIONS) <= {name for (name,) in loaded}


def test_the_catalogs_settings_have_precedence(connection, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the process")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the process")
    monkeypatch.setenv("AWS_REGION", "of-the-process")
    monkeypatch.setenv("LAKEHOUSE_READER_ACCESS_KEY_ID", "of the reader")
    allow_s3(
        connection,
        {
            "s3.access-key-id": "it's a key",
            "s3.secret-access-key": "'), SCOPE 's3://",
            "s3.endpoint": "http://store.example:9000",
            "client.region": "eu-north-1",
        },
    )
    found = secret(connection)
    assert found["key_id"] == "it's a key"
    assert found["secret"] == "'), SCOPE 's3://"
    assert (found["endpoint"], found["url_style"], found["use_ssl"]) == ("store.example:9000", "path", "false")
    assert found["region"] == "eu-north-1"
    assert "session_token" not in found


def test_a_read_only_key_has_precedence_over_the_process_own(connection, monkeypatch):
    for name, value in {"ACCESS_KEY_ID": "writer", "SECRET_ACCESS_KEY": "w", "SESSION_TOKEN": "token"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    allow_s3(connection)
    found = secret(connection)
    assert (found["key_id"], found["secret"], found["session_token"]) == ("writer", "w", "token")
    monkeypatch.setenv("LAKEHOUSE_READER_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("LAKEHOUSE_READER_SECRET_ACCESS_KEY", "r")
    allow_s3(connection)
    found = secret(connection)
    assert (found["key_id"], found["secret"]) == ("reader", "r")
    assert "session_token" not in found


def test_the_environment_names_region_and_endpoint(connection, monkeypatch):
    allow_s3(connection)
    assert secret(connection)["region"] == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store.example")
    allow_s3(connection)
    found = secret(connection)
    assert (found["region"], found["endpoint"], found["url_style"]) == ("eu-west-1", "store.example", "path")
    assert found.get("use_ssl", "true") == "true"


def test_only_the_configured_authority_is_trusted(connection, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CA_BUNDLE", f"{tmp_path}/it's.pem")
    allow_s3(connection)
    settings = "SELECT current_setting('ca_cert_file'), current_setting('enable_server_cert_verification')"
    assert connection.execute(settings).fetchone() == (f"{tmp_path}/it's.pem", True)


def test_dbt_can_import_it_without_airflow():
    script = (
        "import sys, lakehouse.tables.duckdb_access; sys.exit(int('airflow' in sys.modules or 'duckdb' in sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(REPOSITORY / "plugins")}).returncode == 0
    )
