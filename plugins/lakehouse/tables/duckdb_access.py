"""What DuckDB needs to read Iceberg tables: its extensions, from Python packages, and credentials of the object store.

dbt's process uses this module too, so it must not import Airflow.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakehouse.proxies import pass_by
from lakehouse.texts import sql_literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: The iceberg extension needs avro; dependencies are not resolved when an extension is loaded by its path.
EXTENSIONS = ("avro", "httpfs", "iceberg")


def load_extensions(connection: DuckDBPyConnection) -> None:
    """Load the extensions from their packages, without downloading anything.

    :raises RuntimeError: a package is not installed
    """
    for name in EXTENSIONS:
        connection.load_extension(str(_extension(name)))


def allow_s3(connection: DuckDBPyConnection, properties: Mapping[str, str] | None = None) -> None:
    """Give DuckDB access to the object store; httpfs must be loaded.

    :param properties: of an Iceberg catalog; the rest comes from the usual AWS variables
    """
    given, env = properties or {}, os.environ
    endpoint = urlsplit(_first(given.get("s3.endpoint"), env.get("AWS_ENDPOINT_URL_S3"), env.get("AWS_ENDPOINT_URL")))
    pass_by(endpoint.hostname)
    options: dict[str, Any] = {
        **_keys(given),
        "region": _first(
            given.get("s3.region"), given.get("client.region"), env.get("AWS_REGION"), env.get("AWS_DEFAULT_REGION")
        )
        or "us-east-1",
        "endpoint": endpoint.netloc,
        # A custom endpoint is MinIO or similar, where the bucket is part of the path.
        "url_style": "path" if endpoint.netloc else "",
    }
    settings = [f"{name} {sql_literal(value)}" for name, value in options.items() if value]
    if endpoint.scheme == "http":
        settings.append("use_ssl false")
    connection.execute(f"CREATE OR REPLACE SECRET warehouse (TYPE s3, {', '.join(settings)})")
    if authority := env.get("AWS_CA_BUNDLE"):
        connection.execute(f"SET GLOBAL ca_cert_file = {sql_literal(authority)}")
        connection.execute("SET GLOBAL enable_server_cert_verification = true")


def _keys(properties: Mapping[str, str]) -> dict[str, str | None]:
    """Credentials of the catalog; or else read-only ones, if they are set; or else those of the process."""
    env = os.environ
    if key := properties.get("s3.access-key-id"):
        secret, token = properties.get("s3.secret-access-key"), properties.get("s3.session-token")
    elif key := env.get("LAKEHOUSE_READER_ACCESS_KEY_ID"):
        secret, token = env.get("LAKEHOUSE_READER_SECRET_ACCESS_KEY"), None
    else:
        key, secret, token = (
            env.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
        )
    return {"key_id": key, "secret": secret, "session_token": token}


def _first(*values: str | None) -> str:
    return next(filter(None, values), "")


def _extension(name: str) -> Path:
    import duckdb

    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    if package is None or package.origin is None:
        raise RuntimeError(
            f"DuckDB's extension {name} is missing. Next: pip install duckdb-extension-{name}=={duckdb.__version__}"
        )
    return Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
