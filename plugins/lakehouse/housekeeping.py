"""Retention of Airflow's own data: the records of its runs, and the logs of its tasks."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException
from pydantic import BaseModel, ConfigDict, Field

from lakehouse.airflow import variables
from lakehouse.airflow.hooks.coordination import postgres_url

LIMIT_S = 1500
#: Tables whose rows are deleted with the runs that they belong to. `airflow db clean` knows more tables, whose old rows are
#: still needed: DAGs that did not change for long, and triggers that watch an asset for months.
TABLES = (
    "asset_event", "callback", "dag_run", "dag_version", "import_error", "job", "log", "revoked_token", "task_instance",
    "task_instance_history", "task_reschedule", "xcom",
)  # fmt: skip
#: Rows per transaction, so that a first clean-up, after months, does not block Airflow.
BATCH_ROWS = 10_000


class Retention(BaseModel):
    """For how many days Airflow keeps finished runs (variable `retention`). No run may take longer than that.

    :param metadata_days: for records in the metadata database
    :param log_days: for log files of tasks and of the DAG processor
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    metadata_days: int = Field(ge=2)
    log_days: int = Field(ge=2)


@dataclass(frozen=True)
class Deleted:
    """What was deleted, or would be."""

    files: int
    bytes: int


def retention() -> Retention:
    """The variable `retention`."""
    return variables.structure("retention", Retention)


def clean_metadata(dry_run: bool) -> str:
    """Delete old rows of Airflow's metadata database with its own command, because tasks have no direct access.

    :return: the output of the command
    :raises AirflowException: it failed, or did not finish in time
    """
    before = datetime.now(UTC) - timedelta(days=retention().metadata_days)
    url = postgres_url(BaseHook.get_connection("airflow_database"))
    command = [
        "airflow", "db", "clean", "--clean-before-timestamp", before.isoformat(), "--tables", ",".join(TABLES),
        "--batch-size", str(BATCH_ROWS), "--skip-archive", "--error-on-cleanup-failure", "--yes",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command, *(["--dry-run"] if dry_run else [])],
            env={**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url},
            capture_output=True, text=True, timeout=LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise AirflowException(
            f"`airflow db clean` did not finish within {LIMIT_S} s; what it has deleted stays deleted. Next: clear this task to "
            "continue"
        ) from error
    if done.returncode:
        raise AirflowException(
            f"`airflow db clean` failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-1000:]}. Next: check that "
            "the connection 'airflow_database' is that of Airflow's metadata database"
        )
    return done.stdout


def delete_logs(folder: Path, dry_run: bool) -> Deleted:
    """Delete the log files of a folder that are older than `log_days`, and the folders that are empty afterwards."""
    before = (datetime.now(UTC) - timedelta(days=retention().log_days)).timestamp()
    found = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    old = [file for file in found if file.stat().st_mtime < before]
    deleted = Deleted(len(old), sum(file.stat().st_size for file in old))
    if not dry_run:
        for file in old:
            file.unlink(missing_ok=True)
            _remove_empty(file.parent, folder)
    return deleted


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder and its parents below the root, as long as they are empty."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
