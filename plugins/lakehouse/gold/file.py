"""The Gold file: each run builds in its own file, which is published by an atomic rename.

DuckDB allows one writer, and readers block it. So readers have a file that nobody writes to and no build opens (see `swap`). A
BI tool that has the published file open does not interfere with a build; concurrent runs do not interfere with each other; and
after a failed run, readers keep what they had.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from lakehouse.airflow import variables
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count, rows_of
from lakehouse.gold import swap
from lakehouse.gold.models import fingerprint
from lakehouse.gold.pin import SourceVersion, pin, release
from lakehouse.pipelines.load import gold_of
from lakehouse.pipelines.model import Pipeline
from lakehouse.quality.ledger import Ledger, read_ledger

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyiceberg.table import Table

FILE_NAME = "gold.duckdb"
LATE_DUPLICATES = "late_duplicates"
KEEP_RUNS = 3
RUN_NAME_LENGTH = 12


def published_file(pipeline: Pipeline) -> Path:
    """Path of the published file, which readers open."""
    return Path(variables.text("gold_dir")) / pipeline.name / FILE_NAME


def prepare(pipeline: Pipeline, run_id: str, full_refresh: bool = False, copy: bool = False) -> dict[str, str]:
    """Provide the file that the run builds on and one version of the source to read.

    The run starts without a file, and so builds everything from scratch, if that is requested, or if no file can be built upon:
    because the models have changed; or because the source is another table (after a replay), was rolled back, or lost rows.
    Preparing the same run again starts over. Files of older, unpublished runs are deleted with their pins, except the newest.

    :param copy: for a run that will not publish: it works on a copy of the published file
    :return: the environment of the run's dbt process
    :raises AirflowSkipException: the source is empty
    :raises DeclarationError: the pipeline has no Gold
    """
    gold = gold_of(pipeline)
    source = IcebergCatalogHook().table(gold.source)
    if source.current_snapshot() is None:
        raise AirflowSkipException(
            f"{gold.source} has no rows yet, so there is nothing to build. "
            f"Next: send events to the topic {pipeline.topic.name}"
        )
    published = published_file(pipeline)
    runs = published.parent / "runs"
    work = runs / hashlib.sha256(run_id.encode()).hexdigest()[:RUN_NAME_LENGTH] / FILE_NAME
    shutil.rmtree(work.parent, ignore_errors=True)
    work.parent.mkdir(parents=True)
    _adopt_legacy_file(published, str(source.metadata.table_uuid))
    for old in sorted(runs.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)[KEEP_RUNS:]:
        shutil.rmtree(old, ignore_errors=True)
    metadata = pin(source, pipeline.name, work.parent)
    models = fingerprint(pipeline)

    def can_build_on(build: swap.Build) -> bool:
        return build.models == models and build.source.only_appended_until(source)

    if not full_refresh:
        swap.take(published, work, can_build_on, copy)
    return {
        "LAKEHOUSE_GOLD_PATH": str(work),
        "LAKEHOUSE_SOURCE_METADATA": str(metadata),
        "LAKEHOUSE_MODELS": models,
    }


def publish(pipeline: Pipeline, env: dict[str, str]) -> Ledger:
    """Check that Gold accounts for every row of its version of the source, then publish it.

    Each row must be in the fact, or be a late duplicate of a row in it. Running it again after a success changes nothing,
    because the run's file is gone.

    :raises AirflowException: rows are missing or duplicated; the published file stays as it was
    :raises AirflowFailException: the published file was built from a later version, and stays
    """
    from pyiceberg.table import StaticTable

    gold = gold_of(pipeline)
    work = Path(env["LAKEHOUSE_GOLD_PATH"])
    file = work if work.exists() else published_file(pipeline)
    built, late = count_fact(pipeline, file), count_late_duplicates(pipeline, file)
    expected = None
    if work.exists():
        pinned = StaticTable.from_metadata(env["LAKEHOUSE_SOURCE_METADATA"])
        expected = row_count(pinned)
        if built + late != expected:
            raise AirflowException(
                f"{gold.fact} has {built:,} rows and {LATE_DUPLICATES} {late:,}, but their version of {gold.source} has "
                f"{expected:,}: not published. Next: clear `prepare` with its downstream tasks"
            )
    ledger = read_ledger(pipeline, built, late, expected, pipeline.stages_to_gold)
    if ledger.errors:
        raise AirflowException(
            f"The ledger is not balanced, Gold is not published: {'; '.join(ledger.errors)}\n{ledger}"
        )
    source = IcebergCatalogHook().table(gold.source)
    if work.exists():
        _swap_in(pipeline, work, SourceVersion.of(pinned), env["LAKEHOUSE_MODELS"], source)
    release(source, pipeline.name, work.parents[1])
    return ledger


def count_fact(pipeline: Pipeline, file: Path | None = None) -> int:
    """Rows of the pipeline's fact in a Gold file, by default the published one.

    :raises AirflowException: the file does not exist, or another program has it open for writing
    :raises DeclarationError: the pipeline has no Gold
    """
    with _opened(pipeline, file) as connection:
        [[rows]] = connection.execute(f"SELECT count(*) FROM {gold_of(pipeline).fact}").fetchall()
    return int(rows)


def count_late_duplicates(pipeline: Pipeline, file: Path | None = None) -> int:
    """Rows of the source that the fact leaves out because their key had arrived before. Errors as in `count_fact`.

    0 if the pipeline has no such model.
    """
    import duckdb

    with _opened(pipeline, file) as connection:
        try:
            [[rows]] = connection.execute(f"SELECT count(*) FROM {LATE_DUPLICATES}").fetchall()
        except duckdb.CatalogException:
            return 0
    return int(rows)


def built_from_rows(pipeline: Pipeline) -> int | None:
    """Rows of the version of its source that published Gold was built from; None if that version has expired or is unknown."""
    version = published_version(pipeline)
    source = IcebergCatalogHook().lazy_table(gold_of(pipeline).source)
    if version is None or version.table_uuid != str(source.metadata.table_uuid):
        return None
    snapshot = source.snapshot_by_id(version.snapshot_id)
    return rows_of(snapshot) if snapshot else None


def _opened(pipeline: Pipeline, file: Path | None) -> DuckDBPyConnection:
    import duckdb

    gold_of(pipeline)
    file = file or published_file(pipeline)
    if not file.exists():
        raise AirflowException(f"Gold file {file} does not exist. Next: trigger {pipeline.dag_id} to build it")
    try:
        return duckdb.connect(str(file), read_only=True)
    except duckdb.IOException as error:
        raise AirflowException(
            f"{file} cannot be opened. Next: close it in the program that has it open for writing\n{error}"
        ) from error


def published_version(pipeline: Pipeline) -> SourceVersion | None:
    """The version of its source that published Gold was built from; None if there is no file, or it is not recorded.

    :raises duckdb.IOException: another program changed the file and still has it open for writing
    """
    published = published_file(pipeline)
    if build := swap.build_of(published):
        return build.source
    return _built_from(published) if published.exists() else None


def discard(pipeline: Pipeline, env: dict[str, str]) -> None:
    """Delete what `prepare` provided, for a run that will not publish."""
    work = Path(env["LAKEHOUSE_GOLD_PATH"])
    shutil.rmtree(work.parent, ignore_errors=True)
    release(IcebergCatalogHook().table(gold_of(pipeline).source), pipeline.name, work.parents[1])


def _swap_in(pipeline: Pipeline, work: Path, version: SourceVersion, models: str, source: Table) -> None:
    """Publish a run's file, unless the published one is later. Errors as in `publish`."""
    published = published_file(pipeline)
    with swap.exclusive(published.parent):
        current = _readable_version(pipeline)
        if current and version.precedes(current, source):
            raise AirflowFailException(
                f"This Gold was built from snapshot {version.snapshot_id} of {'.'.join(source.name())}, the published one from "
                f"{current.snapshot_id}, which is later: not published. Next: trigger {pipeline.dag_id} to build the latest"
            )
        _record_version(work, version)
        swap.publish(work, published, version, models)
    shutil.rmtree(work.parent)


def _readable_version(pipeline: Pipeline) -> SourceVersion | None:
    import duckdb

    try:
        return published_version(pipeline)
    except duckdb.IOException:  # a program that changed it must not prevent a good one
        return None


def _adopt_legacy_file(published: Path, table_uuid: str) -> None:
    """Move a Gold file from where it was before there were several pipelines, if it was built from this table.

    `base.duckdb`, another file of older versions, is no longer needed.
    """
    published.with_name("base.duckdb").unlink(missing_ok=True)
    folder = published.parents[1]
    legacy = folder / FILE_NAME
    if published.exists() or not legacy.exists() or not _is_of(legacy, table_uuid):
        return
    legacy.replace(published)
    for run in (folder / "runs").glob("?" * RUN_NAME_LENGTH):
        shutil.rmtree(run, ignore_errors=True)


def _record_version(file: Path, version: SourceVersion) -> None:
    """Record in a Gold file which version of its source it was built from: one row in the table `built_from`."""
    import duckdb

    with duckdb.connect(str(file)) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE built_from "
            "(source_table_uuid VARCHAR, source_snapshot_id BIGINT, source_sequence_number BIGINT)"
        )
        connection.execute("INSERT INTO built_from VALUES (?, ?, ?)", astuple(version))


def _built_from(file: Path) -> SourceVersion | None:
    """The version of its source that a Gold file was built from; None if it is not recorded."""
    import duckdb

    with duckdb.connect(str(file), read_only=True) as connection:
        try:
            [row] = connection.execute("FROM built_from").fetchall()  # by position: older files have other names
        except duckdb.CatalogException:
            return None
    return SourceVersion(*row)


def _is_of(file: Path, table_uuid: str) -> bool:
    """Whether a Gold file was built from this table."""
    version = _built_from(file)
    return version is not None and version.table_uuid == table_uuid
