"""The Gold file: each pipeline run builds in a file of its own, and readers get it by one atomic rename.

DuckDB has one writer, and a reader blocks it. So readers have a file that nobody writes to, and that no build opens (see
`turns`). A BI tool that has the published file open never meets the build, whatever it does to it; two runs at once never
meet each other; and a failed run leaves readers what they had.
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
from lakehouse.gold import turns
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
    """Path of the file that readers open."""
    return Path(variables.text("gold_dir")) / pipeline.name / FILE_NAME


def prepare(pipeline: Pipeline, run_id: str, full_refresh: bool = False, copy: bool = False) -> dict[str, str]:
    """Give the run a file to build on and one version of the source to read.

    The run starts with nothing, and so builds everything from scratch, when that is asked for, or when no file can be built
    upon: the models are others now; or the source is another table (a replay put it there), was rolled back, or lost
    rows. Running it again for the same run starts over. Files of older runs that never published go, all but the newest
    few, and so do their pins.

    :param copy: for a run that is not going to publish: it works on a copy of what readers have
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
    published = published_file(pipeline)
    runs = published.parent / "runs"
    work = runs / hashlib.sha256(run_id.encode()).hexdigest()[:RUN_NAME_LENGTH] / FILE_NAME
    shutil.rmtree(work.parent, ignore_errors=True)
    work.parent.mkdir(parents=True)
    _adopt_file_of_before(published, str(source.metadata.table_uuid))
    for old in sorted(runs.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)[KEEP_RUNS:]:
        shutil.rmtree(old, ignore_errors=True)
    metadata = pin(source, pipeline.name, work.parent)
    models = fingerprint(pipeline)

    def fits(built: turns.Built) -> bool:
        return built.models == models and built.source.only_grew_until(source)

    if not full_refresh:
        turns.take(published, work, fits, copy)
    return {
        "LAKEHOUSE_GOLD_PATH": str(work),
        "LAKEHOUSE_SOURCE_METADATA": str(metadata),
        "LAKEHOUSE_MODELS": models,
    }


def publish(pipeline: Pipeline, env: dict[str, str]) -> Ledger:
    """Check that Gold accounts for every row of its version of the source, then swap it in for readers.

    Each row is in the fact, or a late duplicate of one that is.

    Running it again after it succeeded finds its file gone and changes nothing.

    :raises AirflowException: rows are missing or duplicated; the published file stays as it was
    :raises AirflowFailException: readers have a later version of the source already, and keep it
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
                f"{gold.fact} holds {built:,} rows and {LATE_DUPLICATES} {late:,}, their version of {gold.source} {expected:,}: "
                "not published. Next: clear `prepare` with its downstream tasks"
            )
    ledger = read_ledger(pipeline, built, late, expected)
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
    """Rows of the pipeline's fact in the published Gold file, or in another.

    :raises AirflowException: there is no such file, or another program has it open for writing
    :raises DeclarationError: the pipeline has no Gold
    """
    with _opened(pipeline, file) as connection:
        [[rows]] = connection.execute(f"SELECT count(*) FROM {gold_of(pipeline).fact}").fetchall()
    return int(rows)


def count_late_duplicates(pipeline: Pipeline, file: Path | None = None) -> int:
    """Rows of the source that the fact leaves out, because their key arrived before; errors as of `count_fact`.

    0 when the pipeline has no such model.
    """
    import duckdb

    with _opened(pipeline, file) as connection:
        try:
            [[rows]] = connection.execute(f"SELECT count(*) FROM {LATE_DUPLICATES}").fetchall()
        except duckdb.CatalogException:
            return 0
    return int(rows)


def built_from_rows(pipeline: Pipeline) -> int | None:
    """Rows of its source that readers' Gold was built from; None when that version has expired, or is not known."""
    version = published_version(pipeline)
    source = IcebergCatalogHook().glance(gold_of(pipeline).source)
    if version is None or version.table_uuid != str(source.metadata.table_uuid):
        return None
    snapshot = source.snapshot_by_id(version.snapshot_id)
    return rows_of(snapshot) if snapshot else None


def _opened(pipeline: Pipeline, file: Path | None) -> DuckDBPyConnection:
    import duckdb

    gold_of(pipeline)
    file = file or published_file(pipeline)
    if not file.exists():
        raise AirflowException(f"There is no Gold file {file}. Next: trigger {pipeline.dag_id} to build one")
    try:
        return duckdb.connect(str(file), read_only=True)
    except duckdb.IOException as error:
        raise AirflowException(
            f"{file} cannot be opened. Next: let the program that has it open for writing open it read-only\n{error}"
        ) from error


def published_version(pipeline: Pipeline) -> SourceVersion | None:
    """The version of its source that readers' Gold was built from; None when there is no file, or it does not say.

    :raises duckdb.IOException: the file was changed by a program that still has it open for writing
    """
    published = published_file(pipeline)
    if built := turns.built(published):
        return built.source
    return _built_from(published) if published.exists() else None


def discard(pipeline: Pipeline, env: dict[str, str]) -> None:
    """Drop what `prepare` gave to a run that is not going to publish."""
    work = Path(env["LAKEHOUSE_GOLD_PATH"])
    shutil.rmtree(work.parent, ignore_errors=True)
    release(IcebergCatalogHook().table(gold_of(pipeline).source), pipeline.name, work.parents[1])


def _swap_in(pipeline: Pipeline, work: Path, version: SourceVersion, models: str, source: Table) -> None:
    """Give a run's file to readers, unless they have a later one. Errors as of `publish`."""
    published = published_file(pipeline)
    with turns.alone(published.parent):
        before = _version_before(pipeline)
        if before and version.precedes(before, source):
            raise AirflowFailException(
                f"This Gold was built from snapshot {version.snapshot_id} of {'.'.join(source.name())}, the published one from "
                f"{before.snapshot_id}, which is later: not published. Next: trigger {pipeline.dag_id} for a build of the newest"
            )
        _sign(work, version)
        turns.offer(work, published, version, models)
    shutil.rmtree(work.parent)


def _version_before(pipeline: Pipeline) -> SourceVersion | None:
    import duckdb

    try:
        return published_version(pipeline)
    except duckdb.IOException:  # whoever changed it cannot keep readers from a right one
        return None


def _adopt_file_of_before(published: Path, table_uuid: str) -> None:
    """Move a Gold file from where it lay when there was one pipeline, if it was built from this table.

    Another file of an older version, which runs were built on, is not needed any more.
    """
    published.with_name("base.duckdb").unlink(missing_ok=True)
    folder = published.parents[1]
    before = folder / FILE_NAME
    if published.exists() or not before.exists() or not _is_of(before, table_uuid):
        return
    before.replace(published)
    for run in (folder / "runs").glob("?" * RUN_NAME_LENGTH):
        shutil.rmtree(run, ignore_errors=True)


def _sign(file: Path, version: SourceVersion) -> None:
    """Write into a Gold file which version of its source it was built from: one row, the table `built_from`."""
    import duckdb

    with duckdb.connect(str(file)) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE built_from "
            "(source_table_uuid VARCHAR, source_snapshot_id BIGINT, source_sequence_number BIGINT)"
        )
        connection.execute("INSERT INTO built_from VALUES (?, ?, ?)", astuple(version))


def _built_from(file: Path) -> SourceVersion | None:
    """The version of its source that a Gold file was built from; None when it does not say."""
    import duckdb

    with duckdb.connect(str(file), read_only=True) as connection:
        try:
            [row] = connection.execute("FROM built_from").fetchall()  # by place: the columns once were silver_...
        except duckdb.CatalogException:
            return None
    return SourceVersion(*row)


def _is_of(file: Path, table_uuid: str) -> bool:
    """Whether a Gold file was built from this table."""
    version = _built_from(file)
    return version is not None and version.table_uuid == table_uuid
