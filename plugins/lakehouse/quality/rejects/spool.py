"""The events of one replay, kept on disk while it is found out which of them are due, however many they are."""

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

#: Events that are in memory at once.
BATCH = 1_000
#: Of DuckDB's buffers; what does not fit is spilled.
MEMORY_LIMIT = "64MB"


@dataclass(frozen=True)
class Fix:
    """An event to be sent.

    :param position: of the rejected event, "partition:offset"
    """

    position: str
    key: bytes | None
    value: bytes | None


class Spool:
    """Events in the order of their arrival, in a temporary folder that is gone at the end.

    The events are in a file, their positions in a database, so that nothing grows in memory but what DuckDB may use.
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
        """Keep these events, each batch of them before the next is asked for."""
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
        """A position that two events have."""
        found = self._database.execute(
            "SELECT position FROM wanted GROUP BY position HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        return found[0] if found else None

    def not_among(self, positions: Iterable[pa.RecordBatch], limit: int) -> list[str]:
        """The first events' positions, by text, that are not among these (their only column)."""
        self._keep("rejected", positions)
        found = self._database.execute(
            "SELECT position FROM wanted ANTI JOIN rejected USING (position) ORDER BY position LIMIT ?", [limit]
        )
        return [position for (position,) in found.fetchall()]

    def settle(self, fixed: Iterable[pa.RecordBatch]) -> int:
        """Take the events whose positions are not among these for due; how many they are."""
        self._keep("fixed", fixed)
        self._database.execute("INSERT INTO due SELECT number FROM wanted ANTI JOIN fixed USING (position)")
        [(due,)] = self._database.execute("SELECT count(*) FROM due").fetchall()
        return due

    def due(self) -> Iterator[Fix]:
        """The events that are due, in the order of their arrival."""
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
