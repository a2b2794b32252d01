"""The Gold file: each pipeline run builds in a copy of its own, and readers get it by one atomic rename.

DuckDB has one writer, and a reader blocks it: a BI tool that has the published file open never meets the build, two runs
at once never meet each other, and a failed run leaves the published file as it was.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.quality.ledger import Ledger, read_ledger

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable

FILE_NAME = "gold.duckdb"
KEEP_RUNS = 3
SILVER = "silver.cleaned_trips"


def published_file() -> Path:
    """Path of the file that readers open."""
    return Path(Variable.get("gold_dir")) / FILE_NAME


def prepare(run_id: str, full_refresh: bool = False) -> dict[str, str]:
    """Give the run its own copy of the published file and one version of Silver to read.

    The run starts with nothing, and so builds everything anew, when that is asked for, or when the published file was
    built from another table than Silver is now (a replay put one in its place). Running it again for the same run starts
    over. Copies of older runs that never published go, all but the newest few.

    :return: the environment of the run's dbt process
    :raises AirflowSkipException: Silver is empty
    """
    silver = IcebergCatalogHook().table(SILVER)
    if silver.current_snapshot() is None:
        raise AirflowSkipException(f"{SILVER} holds no trip yet, so there is nothing to build: run taxi_trip_generator")
    published = published_file()
    runs = published.parent / "runs"
    work = runs / hashlib.sha256(run_id.encode()).hexdigest()[:12] / FILE_NAME
    shutil.rmtree(work.parent, ignore_errors=True)
    work.parent.mkdir(parents=True)
    for old in sorted(runs.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)[KEEP_RUNS:]:
        shutil.rmtree(old, ignore_errors=True)
    if not full_refresh and published.exists() and _built_from(published) == str(silver.metadata.table_uuid):
        shutil.copyfile(published, work)
    return {"LAKEHOUSE_GOLD_PATH": str(work), "LAKEHOUSE_SILVER_METADATA": silver.metadata_location}


def publish(env: dict[str, str]) -> Ledger:
    """Check that Gold holds every trip of its Silver version, then swap it in for readers.

    Running it again after it succeeded finds its file gone and changes nothing.

    :raises AirflowException: rows are missing or doubled; the published file stays as it was
    """
    work = Path(env["LAKEHOUSE_GOLD_PATH"])
    built = count_trips(work) if work.exists() else count_trips(published_file())
    if work.exists():
        silver = _silver_table(env["LAKEHOUSE_SILVER_METADATA"])
        expected = row_count(silver)
        if built != expected:
            raise AirflowException(
                f"fct_trips holds {built:,} rows, its version of Silver {expected:,}: not published. Clear `prepare`."
            )
    ledger = read_ledger(Variable.get("taxi_topic"), fct_trips=built)
    if ledger.errors:
        raise AirflowException(
            f"The ledger is not balanced, Gold is not published: {'; '.join(ledger.errors)}\n{ledger}"
        )
    if work.exists():
        _sign(work, silver)
        os.replace(work, published_file())
        shutil.rmtree(work.parent)
    return ledger


def count_trips(file: Path) -> int:
    """Rows of `fct_trips` in a Gold file.

    :raises AirflowException: there is no such file
    """
    import duckdb

    if not file.exists():
        raise AirflowException(f"There is no Gold file {file}: trigger nyc_taxi_pipeline to build one")
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM fct_trips").fetchone()[0]


def _sign(file: Path, silver: StaticTable) -> None:
    """Write into a Gold file which version of Silver it was built from: one row, the table `built_from`."""
    import duckdb

    snapshot = silver.current_snapshot()
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE OR REPLACE TABLE built_from (silver_table_uuid VARCHAR, silver_snapshot_id BIGINT)")
        connection.execute(
            "INSERT INTO built_from VALUES (?, ?)", [str(silver.metadata.table_uuid), snapshot and snapshot.snapshot_id]
        )


def _built_from(file: Path) -> str | None:
    """UUID of the Silver table that a Gold file was built from; None when it does not say."""
    import duckdb

    with duckdb.connect(str(file), read_only=True) as connection:
        try:
            return connection.execute("SELECT silver_table_uuid FROM built_from").fetchone()[0]
        except duckdb.CatalogException:
            return None


def _silver_table(metadata_location: str) -> StaticTable:
    from pyiceberg.table import StaticTable

    return StaticTable.from_metadata(metadata_location, IcebergCatalogHook().catalog.properties)
