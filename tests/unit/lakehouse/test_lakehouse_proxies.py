"""Hosts of the platform's own connections are reached despite a proxy in the environment: here, one that does not answer."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import duckdb
import pytest
import requests

from lakehouse.airflow.connections import get_connection
from lakehouse.airflow.hooks.flink import FlinkRestHook, SqlGatewayHook
from lakehouse.airflow.hooks.registry import SchemaRegistryHook
from lakehouse.proxies import pass_by
from lakehouse.tables.duckdb_access import allow_s3, load_extensions

#: To every question.
ANSWER = {"jobs": [], "id": 7, "version": 1, "subject": "s", "schema": "{}", "productName": "Flink"}


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that answers every question alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(
                {"jobs": [], "id": 7, "version": 1, "subject": "s", "schema": "{}", "productName": "Flink"}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_port
        server.shutdown()


def connection(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: object) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "http"} | fields))


def test_flink_is_reached(port, dead_proxy, monkeypatch):
    for conn_id in ("flink_rest", "flink_sql_gateway"):
        connection(monkeypatch, conn_id, host="127.0.0.1", port=port, schema="http")
        monkeypatch.setenv("NO_PROXY", "")
    assert FlinkRestHook().all_runs() == []
    assert SqlGatewayHook().call("GET", "info")["productName"] == "Flink"


def test_the_registry_is_reached(port, dead_proxy, monkeypatch):
    connection(monkeypatch, "schema_registry", host=f"http://127.0.0.1:{port}")
    assert SchemaRegistryHook().registry.latest_id("trips-value") == 7


def test_an_object_store_and_a_rest_catalog_are_reached(port, dead_proxy, monkeypatch):
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    connection(monkeypatch, "iceberg_catalog", extra={"uri": url, "s3.endpoint": "http://store.corp:9000"})
    get_connection("iceberg_catalog")
    assert requests.get(url, timeout=5).status_code == 200
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "127.0.0.1,store.corp"


def test_duckdb_reaches_an_object_store(port, dead_proxy, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    with duckdb.connect() as database:
        load_extensions(database)
        allow_s3(database)
        assert database.execute("SELECT size > 0 FROM read_blob('s3://lake/file')").fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("before", "after"), [("", "flink.corp,127.0.0.1"), ("a.corp", "a.corp,flink.corp,127.0.0.1"), ("*", "*")]
)
def test_hosts_are_added_to_those_that_there_are(dead_proxy, monkeypatch, before, after):
    monkeypatch.setenv("no_proxy", before)
    pass_by("flink.corp", "", None, "http://user:secret@127.0.0.1:8080/api", "flink.corp:8081")
    assert os.environ["no_proxy"] == after


def test_without_a_proxy_nothing_is_set(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    pass_by("flink.corp")
    assert "no_proxy" not in os.environ
