"""Connects dbt to one Gold file and one version of Silver, both named by the environment.

`LAKEHOUSE_GOLD_PATH` is the DuckDB file to build in, `LAKEHOUSE_SILVER_METADATA` the Iceberg metadata file (path,
`file://` or `s3://`) that the whole run reads. For `s3://` the usual variables of AWS apply.
"""

import importlib.util
import os
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

# Iceberg needs avro for its manifests; its own dependencies are not looked up when loading by path.
EXTENSIONS = ("avro", "httpfs", "iceberg")


class Plugin(BasePlugin):
    """The hooks that dbt-duckdb calls when it opens the database and each cursor."""

    def update_connection_config(self, creds, config):
        """Open the file of this run instead of the fixed path of the profile."""
        path = Path(os.environ.get("LAKEHOUSE_GOLD_PATH", ""))
        if path.name != "gold.duckdb":
            raise RuntimeError(
                f"LAKEHOUSE_GOLD_PATH is '{path}', but must be a path that ends in gold.duckdb (DuckDB calls the"
                " database by the file's name, and the SQL is compiled for `gold`)."
            )
        creds.path = str(path)

    def configure_connection(self, conn):
        """Load the extensions from their Python packages: nothing is downloaded."""
        for name in EXTENSIONS:
            conn.load_extension(str(_extension(name)))
        if os.environ.get("LAKEHOUSE_SILVER_METADATA", "").startswith("s3://"):
            conn.execute(_s3_secret())
            if authority := os.environ.get("AWS_CA_BUNDLE"):
                conn.execute(f"set global ca_cert_file = {_literal(authority)}")
                conn.execute("set global enable_server_cert_verification = true")

    def configure_cursor(self, cursor):
        """Pin the version of Silver: `getvariable('silver_metadata')` in SQL."""
        cursor.execute(f"set variable silver_metadata = {_literal(os.environ.get('LAKEHOUSE_SILVER_METADATA', ''))}")


def _extension(name: str) -> Path:
    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    if package is None:
        raise RuntimeError(
            f"DuckDB's {name} extension is missing: pip install duckdb-extension-{name}=={duckdb.__version__}"
        )
    return Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def _s3_secret() -> str:
    env = os.environ
    endpoint = urlsplit(env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or "")
    # A key that may read alone comes first, where there is one.
    reader, secret = (env.get(f"LAKEHOUSE_READER_{part}") for part in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    options = {
        "key_id": reader or env.get("AWS_ACCESS_KEY_ID"),
        "secret": secret or env.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": None if reader else env.get("AWS_SESSION_TOKEN"),
        "region": env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1",
        # A custom endpoint is a MinIO or the like: buckets are in the path there.
        **({"endpoint": endpoint.netloc, "url_style": "path"} if endpoint.netloc else {}),
    }
    given = [f"{name} {_literal(value)}" for name, value in options.items() if value]
    if endpoint.scheme == "http":
        given.append("use_ssl false")
    return f"create or replace secret silver (type s3, {', '.join(given)})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
