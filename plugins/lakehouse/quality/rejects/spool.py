"""Spools the events of one replay to disk, however many there are, until it is known which of them are due."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa

#: Number of events in memory at once.
BATCH = 1_000
#: For DuckDB's buffers; the rest is spilled.
MEMORY_LIMIT = "64MB"


@dataclass(frozen=True)
class Fix:
    """An event to send.

    :param position: of the rejected event, "partition:offset"
    """

    position: str
    key: bytes | None
    value: bytes | None


class Spool:
    """Events in the order in which they were added, in a temporary folder.

    The events are in a file and their positions in a database, so that memory is bounded by DuckDB's limit.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lakehouse-rejects-")
        folder = Path(self._folder.name)
        self._file = (folder / "events").open("w+b")
        config: dict[str, Any] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(folder / "spilled"),
            "threads": "1",
        }
        self._database = duckdb.connect(config=config)
        self._database.execute("CREATE TABLE wanted (number BIGINT, position VARCHAR)")
        self._database.execute("CREATE TABLE due (number BIGINT)")
        self._events = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._file.close()
        self._folder.cleanup()

    def __len__(self) -> int:
        return self._events

    def add(self, events: Iterable[Fix]) -> None:
        """Add events, batch by batch."""
        import pyarrow as pa

        left = iter(events)
        while batch := [*islice(left, BATCH)]:
            pickle.dump([(event.position, event.key, event.value) for event in batch], self._file)
            numbers = pa.array(range(self._events, self._events + len(batch)), pa.int64())
            positions = pa.array([event.position for event in batch], pa.string())
            self._insert("wanted", pa.RecordBatch.from_arrays([numbers, positions], ["number", "position"]))
            self._events += len(batch)
            del batch  # before the next one is made

    def repeated(self) -> str | None:
        """A position that occurs more than once, or None."""
        found = self._database.execute(
            "SELECT position FROM wanted GROUP BY position HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        return found[0] if found else None

    def not_among(self, positions: Iterable[pa.RecordBatch], limit: int) -> list[str]:
        """Positions of events that are not among the given ones (batches with one column), sorted as text."""
        self._keep("rejected", positions)
        found = self._database.execute(
            "SELECT position FROM wanted ANTI JOIN rejected USING (position) ORDER BY position LIMIT ?", [limit]
        )
        return [position for (position,) in found.fetchall()]

    def select_due(self, fixed: Iterable[pa.RecordBatch]) -> int:
        """Mark the events as due whose positions are not among these; return their number."""
        self._keep("fixed", fixed)
        self._database.execute("INSERT INTO due SELECT number FROM wanted ANTI JOIN fixed USING (position)")
        [(due,)] = self._database.execute("SELECT count(*) FROM due").fetchall()
        return due

    def due(self) -> Iterator[Fix]:
        """The events that are due, in the order in which they were added."""
        self._file.seek(0)
        first = 0
        while first < self._events:
            batch = pickle.load(self._file)
            numbers = self._database.execute(
                "SELECT number FROM due WHERE number BETWEEN ? AND ? ORDER BY number", [first, first + len(batch) - 1]
            )
            for (number,) in numbers.fetchall():
                yield Fix(*batch[number - first])
            first += len(batch)

    def _keep(self, table: str, positions: Iterable[pa.RecordBatch]) -> None:
        self._database.execute(f"CREATE OR REPLACE TABLE {table} (position VARCHAR)")
        for batch in positions:
            self._insert(table, batch)

    def _insert(self, table: str, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        self._database.register("batch", pa.Table.from_batches([batch]))
        self._database.execute(f"INSERT INTO {table} FROM batch")
        self._database.unregister("batch")
