"""How long Airflow keeps what is over: the records of its runs, and the logs of its tasks."""

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
#: Rows of these describe what is over, and go with the runs that they belong to. What Airflow itself would also clean and
#: still needs however old it is: DAGs that nobody changes, and triggers that watch an asset for months.
TABLES = (
    "asset_event", "callback", "dag_run", "dag_version", "import_error", "job", "log", "revoked_token", "task_instance",
    "task_instance_history", "task_reschedule", "xcom",
)  # fmt: skip
#: In one transaction: a first cleaning, after months, must not hold Airflow up.
BATCH_ROWS = 10_000


class Retention(BaseModel):
    """For how many days Airflow keeps what is over (variable `retention`). No run may take longer than that.

    :param metadata_days: runs, tasks and what else the metadata database says of them
    :param log_days: files of the tasks' logs, and of the DAG processor's
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    metadata_days: int = Field(ge=2)
    log_days: int = Field(ge=2)


@dataclass(frozen=True)
class Deleted:
    """What went, or would go."""

    files: int
    bytes: int


def retention() -> Retention:
    """The variable `retention`."""
    return variables.structure("retention", Retention)


def clean_metadata(dry_run: bool) -> str:
    """Delete old rows of Airflow's metadata database by its own command, which tasks may not reach otherwise.

    :return: what the command said
    :raises AirflowException: it failed, or did not end in time
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
            f"`airflow db clean` did not end within {LIMIT_S} s. What it deleted is gone. Next: clear this task to go on"
        ) from error
    if done.returncode:
        raise AirflowException(
            f"`airflow db clean` failed ({done.returncode}); see whether the connection 'airflow_database' leads to Airflow's "
            f"metadata database: {(done.stderr or done.stdout).strip()[-1000:]}"
        )
    return done.stdout


def delete_logs(folder: Path, dry_run: bool) -> Deleted:
    """Delete the log files of a folder that nobody has written to for so many days, and the folders that this leaves empty."""
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
    """Remove a folder, and those above it up to the root, as far as nothing is in them."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
