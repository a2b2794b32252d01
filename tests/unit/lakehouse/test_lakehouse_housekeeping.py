"""Old data of Airflow is deleted, and everything that grows has a documented owner."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from airflow.utils.db_cleanup import config_list
from sqlalchemy import create_engine, text

from lakehouse import housekeeping
from lakehouse.airflow.hooks.coordination import postgres_url
from lakehouse.airflow.variables import VariableError
from local import config

ROOT = Path(__file__).parents[3]
DAY_S = 86_400
#: Tables that Airflow can clean, but whose old rows it still needs, or which this platform never writes.
NOT_CLEANED = {
    "_xcom_archive", "celery_taskmeta", "celery_tasksetmeta", "connection_test_request", "dag", "deadline",
    "partitioned_asset_key_log", "task_state_store", "trigger",
}  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "retention.md").read_text()


@pytest.fixture(scope="module")
def owned(page) -> list[str]:
    """Everything in backticks on the page: names, or patterns of names."""
    return re.findall(r"`([^`]+)`", page)


def test_every_volume_has_an_owner(owned):
    volumes = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["volumes"]
    assert [name for name in volumes if not any(fnmatch(name, known) for known in owned)] == []


def test_every_folder_has_an_owner(owned, own_state_folder):
    home = config.create().home
    folders = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_dir()]
    assert folders
    assert [name for name in folders if name not in owned] == []


def test_every_table_that_airflow_can_clean_is_cleaned_or_kept_on_purpose():
    assert {*housekeeping.TABLES} | NOT_CLEANED == {table.table_name for table in config_list}
    assert not {*housekeeping.TABLES} & NOT_CLEANED


def test_the_settings_on_the_page_exist(page):
    settings = "".join((ROOT / name).read_text() for name in ("airflow_settings.yaml", "docker-compose.yaml"))
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")][1:]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[5].partition(" in `")[0])}
    assert "metadata_days" in named
    assert [name for name in named - {"topic.retention"} if name not in settings] == []


@pytest.fixture
def logs(tmp_path) -> Path:
    """Logs of a run today, of one that has just become too old, and of the DAG processor a year ago."""
    folder = tmp_path / "logs"
    for name, age_days in (
        ("dag_id=audit/run_id=new/task_id=compare/attempt=1.log", 0),
        ("dag_id=audit/run_id=old/task_id=compare/attempt=1.log", 30.1),
        ("dag_processor/2024-01-01/dags/audit.py.log", 365),
    ):
        file = folder / name
        file.parent.mkdir(parents=True)
        file.write_text("line\n")
        os.utime(file, (time.time() - age_days * DAY_S,) * 2)
    (folder / "dag_processor" / "latest").symlink_to("2024-01-01")
    return folder


def test_old_logs_are_deleted_with_empty_folders(logs):
    assert housekeeping.delete_logs(logs, dry_run=False) == housekeeping.Deleted(2, 10)
    assert sorted(str(path.relative_to(logs)) for path in logs.rglob("*")) == [
        "dag_id=audit",
        "dag_id=audit/run_id=new",
        "dag_id=audit/run_id=new/task_id=compare",
        "dag_id=audit/run_id=new/task_id=compare/attempt=1.log",
        "dag_processor",
        "dag_processor/latest",
    ]


def test_a_dry_run_deletes_nothing(logs):
    before = sorted(logs.rglob("*"))
    assert housekeeping.delete_logs(logs, dry_run=True) == housekeeping.Deleted(2, 10)
    assert sorted(logs.rglob("*")) == before


def test_a_retention_too_short_for_running_runs_is_rejected(monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_RETENTION", json.dumps({"metadata_days": 1, "log_days": 30}))
    with pytest.raises(VariableError, match="metadata_days"):
        housekeeping.retention()


def test_old_records_are_deleted_and_younger_ones_kept(database, connect, monkeypatch):
    """With Airflow's own command, though a task's environment has no access to the database."""
    server = {"host": "127.0.0.1", "port": database.port("POSTGRES_PORT")}
    connect("airflow_database", **server, password=database.values["POSTGRES_AIRFLOW_PASSWORD"])
    url = postgres_url(housekeeping.BaseHook.get_connection("airflow_database"))
    env = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    engine = create_engine(url)
    for section in ("DATABASE", "CORE"):
        monkeypatch.setenv(f"AIRFLOW__{section}__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")

    def logged() -> list[str]:
        with engine.connect() as connection:
            return sorted(connection.execute(text("SELECT event FROM log WHERE event LIKE 'test%'")).scalars())

    with engine.begin() as connection:
        for event, days in (("test old", 31), ("test young", 29)):
            at = datetime.now(UTC) - timedelta(days=days)
            connection.execute(text("INSERT INTO log (event, dttm) VALUES (:event, :at)"), {"event": event, "at": at})
    housekeeping.clean_metadata(dry_run=True)
    assert logged() == ["test old", "test young"]
    housekeeping.clean_metadata(dry_run=False)
    assert logged() == ["test young"]
    engine.dispose()


def test_a_database_that_is_down_is_named_with_the_next_step():
    with pytest.raises(housekeeping.AirflowException, match=r"(?s)db clean` failed.*connection 'airflow_database'"):
        housekeeping.clean_metadata(dry_run=True)
