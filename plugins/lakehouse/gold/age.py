"""Staleness of Gold: for how long the published file has lacked rows of its source. A rewrite adds no rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.gold.file import published_file, published_version
from lakehouse.pipelines.load import gold_of
from lakehouse.pipelines.model import Pipeline
from lakehouse.tables.history import adds_rows, newer_snapshots, removes_rows

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from lakehouse.gold.pin import SourceVersion


def age_s(pipeline: Pipeline) -> float:
    """For how many seconds the published Gold has lacked rows of its source; 0 if it lacks none.

    :raises AirflowException: the source or the Gold file cannot be read
    :raises DeclarationError: the pipeline has no Gold
    """
    import duckdb

    file = published_file(pipeline)
    try:
        version = published_version(pipeline)
        published_at = file.stat().st_mtime if version else 0
    except (duckdb.Error, OSError) as error:
        raise AirflowException(
            f"The Gold file {file} cannot be read: {error}. Next: close it in the program that has it open for writing"
        ) from error
    # Read after the file: a build that is published meanwhile must not be newer than the source is here.
    lacking = _first_change_after(version, IcebergCatalogHook().lazy_table(gold_of(pipeline).source))
    return 0 if lacking is None else max(0, time.time() - max(lacking, published_at))


def _first_change_after(version: SourceVersion | None, source: Table) -> float | None:
    """When the source's rows first changed after this version (epoch seconds), as far as its history goes back."""
    newer, _ = newer_snapshots(source, version.snapshot_id if version else None)
    changed = [snapshot.timestamp_ms / 1000 for snapshot in newer if adds_rows(snapshot) or removes_rows(snapshot)]
    return changed[-1] if changed else None
