"""The maintenance log, the Iceberg table `ops.maintenance_log`: one row for each operation, whether it succeeded or not."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.airflow.hooks.iceberg import equal
from lakehouse.maintenance.observe import TableSize
from lakehouse.maintenance.settings import Operation
from lakehouse.tables import ops

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = ops.MAINTENANCE_LOG
DONE = "done"


@dataclass(frozen=True)
class LogEntry:
    """One logged operation.

    :param table_name: `namespace.table`; None for an operation on the whole warehouse
    :param operation: a value of `Operation`, or restore, purge or remove_old_states
    :param run: id of the DAG run, or the user who requested it
    :param parameters: the engine's parameters
    :param reason: why it was due
    :param protected: snapshots that must not expire, each with what protects it
    :param result: what the engine reports, in its own terms
    :param deleted_files: files that were deleted or moved to quarantine; in a dry run, that would be
    :param verdict: "done", or the first line of the error
    """

    table_name: str | None
    operation: str
    engine: str
    dry_run: bool
    run: str
    parameters: Mapping[str, Any]
    reason: str
    verdict: str
    seconds: float
    before: TableSize = field(default_factory=TableSize)
    after: TableSize = field(default_factory=TableSize)
    protected: list[Mapping[str, Any]] = field(default_factory=list)
    result: Any = None
    deleted_files: int = 0
    deleted_bytes: int = 0

    def row(self) -> dict[str, Any]:
        """The row of the log table, with the current time as the time of completion."""
        values = asdict(self)
        for when in ("before", "after"):
            values |= {f"{name}_{when}": value for name, value in values.pop(when).items()}
        for name in ("parameters", "protected", "result"):
            values[name] = json.dumps(values[name], default=str)
        return {"id": uuid.uuid4().hex, **values, "finished_at": datetime.now(UTC)}


def schema() -> pa.Schema:
    """Columns of the log table, as in `LogEntry.row`."""
    import pyarrow as pa

    texts = ("id", "table_name", "operation", "engine", "run", "parameters", "reason", "verdict", "protected", "result")
    numbers = [f"{name}_{when}" for when in ("before", "after") for name in asdict(TableSize())]
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("dry_run", pa.bool_()),
            *((name, pa.int64()) for name in (*numbers, "deleted_files", "deleted_bytes")),
            ("seconds", pa.float64()),
            ("finished_at", pa.timestamp("us", "UTC")),
        ]
    )


def append(entry: LogEntry) -> None:
    """Append one row; concurrent commits do no harm."""
    ops.append(TABLE, schema(), entry.row())


def last_done_ms(table: str, operation: Operation) -> int | None:
    """When an operation last succeeded on a table (epoch milliseconds), except in dry runs; None if it never did."""
    wanted = equal(table_name=table, operation=str(operation), verdict=DONE, dry_run=False)
    times = [row["finished_at"] for row in ops.rows(TABLE, wanted)]
    return int(max(times).timestamp() * 1000) if times else None


def of_run(run: str) -> list[dict[str, Any]]:
    """The rows of one run, in chronological order."""
    return sorted(ops.rows(TABLE, equal(run=run)), key=lambda row: row["finished_at"])
