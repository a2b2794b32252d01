"""How long a Gold run takes that brings ten thousand new trips, by how many trips Gold holds already."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from demo.main_job import TABLES, MainJob, Trips

if TYPE_CHECKING:
    from demo.bench import Bench

ROUNDS = 3
NEW_TRIPS = 10_000
FILLED_BY = 1_000_000
LAST_DAY = datetime(2024, 1, 31)
_seeds = count(5_000)


def runs_at(bench: Bench, job: MainJob, trips: int) -> None:
    """Let Gold hold this many trips, then time runs of its pipeline: with new trips of one day, and with new trips of every day.

    The two Gold files take turns, so the first run of each kind, which also catches up on what came before, is not counted.
    """
    _fill(job, trips)
    with tempfile.TemporaryDirectory() as folder:
        kinds: dict[str, Callable[[], Trips]] = {
            "one day": lambda: Trips(source=str(_of_the_last_day(Path(folder)))),
            "all 31 days": lambda: Trips(NEW_TRIPS, seed=next(_seeds)),
        }
        for days, new_trips in kinds.items():
            for number in range(ROUNDS + 1):
                job.send(new_trips())
                _, seconds = job.build()
                if number:
                    bench.note(
                        f"Gold of {trips:,} trips, {NEW_TRIPS:,} new ones of {days}, triggered -> published, s", seconds
                    )
                    bench.note_tasks(job, f"{trips:,} trips, {days}")


def _fill(job: MainJob, trips: int) -> None:
    while (missing := trips - job.ledger().rows(TABLES["silver"])) > NEW_TRIPS:
        job.send(Trips(min(missing, FILLED_BY), seed=next(_seeds)))
    job.build()


def _of_the_last_day(folder: Path) -> Path:
    """A file of new trips that were all picked up on the last day of January."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from taxi_generator import synthetic

    batches = synthetic.batches(next(_seeds), 60 * NEW_TRIPS)
    month = pa.Table.from_batches(batches)
    that_day = month.filter(pc.greater_equal(month["tpep_pickup_datetime"], pa.scalar(LAST_DAY, pa.timestamp("s"))))
    file = folder / "trips.parquet"
    pq.write_table(that_day.slice(0, NEW_TRIPS), file)
    return file
