"""Commits, rewrites and files like those of the streaming jobs and of maintenance, and a stub of Flink."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance.locations import Location

NAME = "silver.cleaned_trips"
SCHEMA = pa.schema([("trip_id", pa.string()), ("pickup_date", pa.date32())])
DAYS = [date(2024, 1, 1), date(2024, 1, 2)]


def append(table: Table, rows: int = 1, day: date = DAYS[0], **summary: str) -> int:
    """Commit one file with these properties in the summary; return the snapshot id."""
    number = len(table.refresh().metadata.snapshots)
    ids = [f"trip {number}-{row}" for row in range(rows)]
    table.append(pa.table([ids, [day] * rows], schema=SCHEMA), snapshot_properties=summary)
    return table.current_snapshot().snapshot_id


def rewrite(table: Table, lose: int = 0) -> int:
    """Commit a rewrite: all rows in one file, some of them lost."""
    rows = table.refresh().scan().to_arrow()
    producer = table.transaction().update_snapshot().overwrite()
    for task in table.scan().plan_files():
        producer.delete_data_file(task.file)
    for file in _dataframe_to_data_files(table.metadata, rows.slice(lose), table.io):
        producer.append_data_file(file)
    (added, *updates), requirements = producer._commit()
    summary = Summary(
        Operation.REPLACE, **added.snapshot.summary.additional_properties
    )  # pyiceberg itself commits no `replace`
    replaced = added.model_copy(update={"snapshot": added.snapshot.model_copy(update={"summary": summary})})
    table.catalog.commit_table(table, requirements, (replaced, *updates))
    return table.refresh().current_snapshot().snapshot_id


def files_of(table: Table) -> set[Path]:
    """Every file in the table's folder."""
    folder = Path("/", Location.parse(table.location()).path)
    return {path for path in folder.rglob("*") if path.is_file()}


def age(path: Path, seconds: float) -> None:
    """Make a file this old."""
    then = time.time() - seconds
    os.utime(path, (then, then))


class Flink:
    """A stub of SQL Gateway and JobManager, with configurable results of the procedures."""

    def __init__(self, http: Any) -> None:
        self.http = http
        self.statements: list[str] = []
        self.procedures: dict[str, Callable[[str], Any] | list[dict[str, Any]]] = {}
        self.answered: dict[str, Any] = {}
        self.jobs: list[dict[str, Any]] = []
        http.default = self.answer

    def answer(self, method: str, path: str, body: Any) -> Any:
        match method, path.strip("/").split("/"):
            case "GET", ["jobs", "overview"]:
                return {"jobs": self.jobs}
            case "PATCH", ["jobs", job]:
                job = job.partition("?")[0]
                self.jobs = [{**found, "state": "CANCELED"} if found["jid"] == job else found for found in self.jobs]
                return {}
            case "POST", ["v1", "sessions"]:
                return {"sessionHandle": "s"}
            case "DELETE", ["v1", "sessions", _]:
                return {}
            case "POST", ["v1", "sessions", _, "statements"]:
                self.statements.append(body["statement"])
                return {"operationHandle": str(len(self.statements) - 1)}
            case "GET", ["v1", "sessions", _, "operations", number, "status"]:
                return {"status": "ERROR" if isinstance(self._rows(number), str) else "FINISHED"}
            case "GET", ["v1", "sessions", _, "operations", number, "result", "0"]:
                rows = self._rows(number)
                if isinstance(rows, str):
                    return 500, {"errors": ["Internal server error.", f"Caused by: {rows}"]}
                columns = [{"name": name} for name in (rows[0] if rows else [])]
                data = [{"fields": [*row.values()]} for row in rows]
                return {"resultType": "EOS", "results": {"columns": columns, "data": data}}
        return 404, {"errors": [f"no such path: {method} {path}"]}

    def _rows(self, number: str) -> Any:
        """Set the result of a procedure: rows, or the text of an error."""
        statement = self.statements[int(number)]
        for name, rows in self.procedures.items():
            if f".sys.{name}(" in statement and number not in self.answered:
                self.answered[number] = rows(statement) if callable(rows) else rows
        return self.answered.get(number, [])

    def called(self, name: str) -> list[str]:
        """The CALLs of a procedure."""
        return [statement for statement in self.statements if f".sys.{name}(" in statement]


def protect(*found: tuple[int, str]) -> list[dict[str, Any]]:
    """Set the protected snapshots: snapshot and what protects it."""
    return [{"snapshot_id": snapshot, "committed_at": "2024-01-01", "protected_by": by} for snapshot, by in found]


def expired(**counts: int) -> list[dict[str, Any]]:
    """A result row of `expire_snapshots`, in which only these were deleted."""
    kinds = ("data_files", "manifest_files", "manifest_lists", "statistics_files", "bytes")
    return [{f"deleted_{kind}_count": counts.pop(kind, 0) for kind in kinds} | counts]


def reload() -> Table:
    """The current version of the table in the catalog."""
    return IcebergCatalogHook().table(NAME)
