"""The log of erasures, the Iceberg table `ops.erasures`. It records the positions of erased rows, never their contents.

An erasure has two entries: one before the first deletion, so that no check mistakes deleted rows for lost ones, and one after
the last. An erasure without the second entry was interrupted.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.coordination import CoordinationHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, equal
from lakehouse.reconciliation.positions import Positions
from lakehouse.tables import ops

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = ops.ERASURES
BEGUN, DONE = "begun", "done"


@dataclass(frozen=True)
class Erasure:
    """One erasure.

    :param table: the table in which the rows were selected
    :param topic_id: Kafka's id of the topic: a recreated topic has other events at the same positions
    :param positions: of the events whose rows are erased
    :param reason: why, as the person who asked for it wrote it
    """

    pipeline: str
    topic_id: str
    table: str
    positions: Positions
    reason: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def schema() -> pa.Schema:
    """Columns of the table. `positions` is `Positions.to_json`; `rows_erased` is table -> rows, once the erasure is done."""
    import pyarrow as pa

    texts = ("id", "pipeline", "topic_id", "step", "table_name", "reason", "positions", "rows_erased")
    return pa.schema(
        [*((name, pa.string()) for name in texts), ("events", pa.int64()), ("at", pa.timestamp("us", "UTC"))]
    )


def erasing(pipeline: str) -> AbstractContextManager[None]:
    """The lock that is held while a pipeline's rows are erased, and while consistent tables are needed. Errors as in `lock`."""
    return CoordinationHook().lock(f"erase {pipeline}")


def begin(erasure: Erasure) -> None:
    """Record what is going to be erased."""
    _write(erasure, BEGUN, {})


def finish(erasure: Erasure, rows: Mapping[str, int]) -> None:
    """Record that it was erased.

    :param rows: table -> rows deleted from it
    """
    _write(erasure, DONE, rows)


def interrupted(pipeline: str, topic_id: str) -> list[Erasure]:
    """The unfinished erasures of a pipeline, oldest first."""
    entries = _entries(pipeline, topic_id)
    done = {entry["id"] for entry in entries if entry["step"] == DONE}
    return [
        Erasure(
            pipeline,
            topic_id,
            entry["table_name"],
            Positions.from_json(json.loads(entry["positions"])),
            entry["reason"],
            entry["id"],
        )
        for entry in entries
        if entry["id"] not in done
    ]


def version() -> int | None:
    """The log's current snapshot id, which changes with each entry; None before the first."""
    iceberg = IcebergCatalogHook()
    if not iceberg.exists(TABLE):
        return None
    snapshot = iceberg.lazy_table(TABLE).current_snapshot()
    return snapshot.snapshot_id if snapshot else None


def erased(pipeline: str, topic_id: str) -> Positions:
    """The positions of all events of a pipeline whose rows were erased, or are being erased."""
    found = Positions()
    for entry in _entries(pipeline, topic_id):
        found |= Positions.from_json(json.loads(entry["positions"]))
    return found


def _entries(pipeline: str, topic_id: str) -> list[dict[str, str]]:
    return sorted(ops.rows(TABLE, equal(pipeline=pipeline, topic_id=topic_id)), key=lambda row: row["at"])


def _write(erasure: Erasure, step: str, rows: Mapping[str, int]) -> None:
    row = {
        "id": erasure.id,
        "pipeline": erasure.pipeline,
        "topic_id": erasure.topic_id,
        "step": step,
        "table_name": erasure.table,
        "reason": erasure.reason,
        "positions": json.dumps(erasure.positions.to_json() if step == BEGUN else {}),
        "rows_erased": json.dumps(dict(rows)),
        "events": len(erasure.positions),
        "at": datetime.now(UTC),
    }
    ops.append(TABLE, schema(), row)
