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

from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from lakehouse.airflow import variables
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.gold.pin import pin, release
from lakehouse.pipelines.load import gold_of
from lakehouse.pipelines.model import Pipeline
from lakehouse.quality.ledger import Ledger, read_ledger

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable

FILE_NAME = "gold.duckdb"
KEEP_RUNS = 3
RUN_NAME_LENGTH = 12


def published_file(pipeline: Pipeline) -> Path:
    """Path of the file that readers open."""
    return Path(variables.text("gold_dir")) / pipeline.name / FILE_NAME


def prepare(pipeline: Pipeline, run_id: str, full_refresh: bool = False) -> dict[str, str]:
    """Give the run its own copy of the published file and one version of the source to read.

    The run starts with nothing, and so builds everything from scratch, when that is asked for, or when the published file
    was built from another table than the source is now (a replay put one in its place). Running it again for the same run
    starts over. Copies of older runs that never published go, all but the newest few, and so do their pins.

    :return: the environment of the run's dbt process
    :raises AirflowSkipException: the source is empty
    :raises DeclarationError: the pipeline has no Gold
    """
    gold = gold_of(pipeline)
    source = IcebergCatalogHook().table(gold.source)
    if source.current_snapshot() is None:
        raise AirflowSkipException(
            f"{gold.source} holds no row yet, so there is nothing to build. "
            f"Next: send events to the topic {pipeline.topic.name}"
        )
    table_uuid = str(source.metadata.table_uuid)
    published = published_file(pipeline)
    runs = published.parent / "runs"
    work = runs / hashlib.sha256(run_id.encode()).hexdigest()[:RUN_NAME_LENGTH] / FILE_NAME
    shutil.rmtree(work.parent, ignore_errors=True)
    work.parent.mkdir(parents=True)
    _adopt_file_of_before(published, table_uuid)
    for old in sorted(runs.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)[KEEP_RUNS:]:
        shutil.rmtree(old, ignore_errors=True)
    metadata = pin(source, pipeline.name, work.parent)
    if not full_refresh and published.exists() and _built_from(published) == table_uuid:
        shutil.copyfile(published, work)
    return {"LAKEHOUSE_GOLD_PATH": str(work), "LAKEHOUSE_SOURCE_METADATA": str(metadata)}


def publish(pipeline: Pipeline, env: dict[str, str]) -> Ledger:
    """Check that Gold holds every row of its version of the source, then swap it in for readers.

    Running it again after it succeeded finds its file gone and changes nothing.

    :raises AirflowException: rows are missing or duplicated; the published file stays as it was
    """
    from pyiceberg.table import StaticTable

    gold = gold_of(pipeline)
    work = Path(env["LAKEHOUSE_GOLD_PATH"])
    built = count_fact(pipeline, work if work.exists() else None)
    if work.exists():
        source = StaticTable.from_metadata(env["LAKEHOUSE_SOURCE_METADATA"])
        expected = row_count(source)
        if built != expected:
            raise AirflowException(
                f"{gold.fact} holds {built:,} rows, its version of {gold.source} {expected:,}: not published. "
                "Next: clear `prepare` with its downstream tasks"
            )
    ledger = read_ledger(pipeline, fact_rows=built)
    if ledger.errors:
        raise AirflowException(
            f"The ledger is not balanced, Gold is not published: {'; '.join(ledger.errors)}\n{ledger}"
        )
    if work.exists():
        _sign(work, source)
        os.replace(work, published_file(pipeline))
        shutil.rmtree(work.parent)
    release(IcebergCatalogHook().table(gold.source), pipeline.name, work.parents[1])
    return ledger


def count_fact(pipeline: Pipeline, file: Path | None = None) -> int:
    """Rows of the pipeline's fact in the published Gold file, or in another.

    :raises AirflowException: there is no such file
    :raises DeclarationError: the pipeline has no Gold
    """
    import duckdb

    fact = gold_of(pipeline).fact
    file = file or published_file(pipeline)
    if not file.exists():
        raise AirflowException(f"There is no Gold file {file}. Next: trigger {pipeline.dag_id} to build one")
    with duckdb.connect(str(file), read_only=True) as connection:
        [[rows]] = connection.execute(f"SELECT count(*) FROM {fact}").fetchall()
    return rows


def _adopt_file_of_before(published: Path, table_uuid: str) -> None:
    """Move a Gold file from where it lay when there was one pipeline, if it was built from this table."""
    folder = published.parents[1]
    before = folder / FILE_NAME
    if published.exists() or not before.exists() or _built_from(before) != table_uuid:
        return
    os.replace(before, published)
    for run in (folder / "runs").glob("?" * RUN_NAME_LENGTH):
        shutil.rmtree(run, ignore_errors=True)


def _sign(file: Path, source: StaticTable) -> None:
    """Write into a Gold file which version of its source it was built from: one row, the table `built_from`."""
    import duckdb

    snapshot = source.current_snapshot()
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE OR REPLACE TABLE built_from (silver_table_uuid VARCHAR, silver_snapshot_id BIGINT)")
        connection.execute(
            "INSERT INTO built_from VALUES (?, ?)", [str(source.metadata.table_uuid), snapshot and snapshot.snapshot_id]
        )


def _built_from(file: Path) -> str | None:
    """UUID of the table that a Gold file was built from; None when it does not say."""
    import duckdb

    with duckdb.connect(str(file), read_only=True) as connection:
        try:
            [[table_uuid]] = connection.execute("SELECT silver_table_uuid FROM built_from").fetchall()
        except duckdb.CatalogException:
            return None
    return table_uuid
