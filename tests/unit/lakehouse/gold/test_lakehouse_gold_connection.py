"""dbt's connection reads the source from its own store, wherever the run's copy of its metadata is."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from lakehouse.gold.connection import Plugin


@pytest.mark.parametrize(
    ("location", "secrets"),
    [("s3://lake/silver/trips", 1), ("s3a://lake/silver/trips", 1), ("file:///lake/silver/trips", 0)],
)
def test_a_table_in_an_object_store_gets_credentials(location, secrets, tmp_path: Path, monkeypatch):
    copy = tmp_path / "source.metadata.json"
    copy.write_text(json.dumps({"location": location}))
    monkeypatch.setenv("LAKEHOUSE_SOURCE_METADATA", str(copy))
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        Plugin("gold", {}).configure_connection(connection)
        assert connection.execute("SELECT count(*) FROM duckdb_secrets()").fetchone() == (secrets,)
