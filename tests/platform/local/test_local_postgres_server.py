"""A real PostgreSQL under the supervisor: created once, listens on loopback, requires passwords, has its databases."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from local import config, postgres
from local.config import Platform, PlatformError
from local.probes import postgres_url
from local.services import Service, services
from local.start import start
from local.supervision import Supervisor, members, stop


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """In a folder whose parents everybody may traverse, so that no other folder's mode is changed."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-postgres-", dir="/tmp"))
    with socket.create_server(("127.0.0.1", 0)) as free, pytest.MonkeyPatch.context() as shell:
        shell.setenv("LAKEHOUSE_HOME", str(folder))
        shell.setenv("POSTGRES_PORT", str(free.getsockname()[1]))
        platform = config.create()
    yield platform
    stop(members(platform), limit_s=0)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def service(platform: Platform) -> Service:
    return next(service for service in services(platform) if service.name == "postgres")


@pytest.fixture(scope="module")
def server(platform: Platform, service: Service) -> Supervisor:
    """Started where an interrupted start left files."""
    (platform.home / "postgres.new").mkdir()
    (platform.home / "postgres.new" / "half").touch()
    (platform.home / "postgres.password").touch()
    supervisor = Supervisor(platform)
    postgres.configure()
    supervisor.launch([service])
    start(platform, supervisor, [service])
    return supervisor


def _connect(platform: Platform, name: str, password: str) -> psycopg.Connection:
    return psycopg.connect(postgres_url(platform.port("POSTGRES_PORT"), name, password), connect_timeout=10)


@pytest.mark.parametrize("name", postgres.DATABASES)
def test_each_database_has_its_own_role_and_password(platform, server, name):
    with _connect(platform, name, platform.values[f"POSTGRES_{name.upper()}_PASSWORD"]) as connection:
        connection.execute("CREATE TABLE probe ()")
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        connection.rollback()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _connect(platform, name, platform.values["POSTGRES_PASSWORD"])


def test_it_listens_on_loopback_only_and_never_runs_as_root(platform, server):
    process = psutil.Process(server.info()["postgres"]["pid"])
    listening = [connection.laddr for connection in process.net_connections() if connection.status == "LISTEN"]
    assert listening == [("127.0.0.1", platform.port("POSTGRES_PORT"))]
    assert process.uids().effective != 0
    assert [connection for connection in process.net_connections("unix") if connection.laddr] == []


def test_its_creation_leaves_no_files(platform, server):
    assert not (platform.home / "postgres.new").exists()
    assert not (platform.home / "postgres.password").exists()


def test_a_new_password_takes_effect_with_the_next_start_and_data_is_kept(platform, service, server):
    with _connect(platform, "iceberg", platform.values["POSTGRES_ICEBERG_PASSWORD"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    platform.values["POSTGRES_ICEBERG_PASSWORD"] = "another"
    server.call("stopProcess", "postgres", True)
    start(platform, server, [service])
    with _connect(platform, "iceberg", "another") as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_failed_initdb_is_reported_and_leaves_neither_data_nor_password(platform, monkeypatch, tmp_path):
    (tmp_path / "initdb").write_text("#!/bin/sh\necho no space left >&2\nexit 1\n")
    (tmp_path / "initdb").chmod(0o755)
    monkeypatch.setattr(postgres, "account", lambda: None)
    monkeypatch.setattr(postgres, "BIN", tmp_path)
    home = tmp_path / "other"
    home.mkdir()
    with pytest.raises(PlatformError, match=f"initdb of {home}/postgres failed: no space left"):
        postgres.prepare(Platform(home, platform.values))
    assert list(home.iterdir()) == []
