"""What a build of Gold with a few new trips costs, by how many trips Gold holds.

`PYTHONPATH=plugins python -m tests.gold.growth [TRIPS ...]` prints it.
It needs no platform: dbt builds and tests Gold in this process, from a Silver table in a folder. Each batch arrives a day after
the one before, so that builds do not read earlier batches again. `make bench` runs it too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from taxi_generator import synthetic
from tests.gold.gold import Dbt, Gold
from tests.gold.silver import EVENTS, Silver, silver_rows

SIZES = (100_000, 1_000_000, 10_000_000)
ROUNDS = 3
NEW_TRIPS = 10_000
FILLED_BY = 500_000
LAST_DAY = datetime(2024, 1, 31)
DAYS_OF_JANUARY = 31


class Growth:
    """A Silver table and its Gold, both of which grow."""

    def __init__(self, folder: Path) -> None:
        self._silver = Silver(folder / "silver")
        self._gold = Gold(Dbt(folder / "dbt"), folder / "gold")
        self._seeds = count(1)
        self._arrival = datetime(2024, 2, 1, 10, tzinfo=UTC)
        self._trips = 0
        self.figures: dict[str, list[float]] = {}

    def measure(self, size: int) -> None:
        """Let Gold hold so many trips, then time builds with new trips: of the last day, then of every day of the month."""
        self._fill(size)
        self._build()
        for days, wanted in {"the last day": True, "all 31 days": False}.items():
            for number in range(ROUNDS + 1):
                self._append(NEW_TRIPS, only_last_day=wanted)
                seconds, cpu_s = self._build()
                if number:  # the first one still overlaps with the batch before it
                    what = f"Gold of {size:,} trips, {NEW_TRIPS:,} new ones of {days}: dbt build"
                    self._note(f"{what}, s", seconds)
                    self._note(f"{what}, CPU s", cpu_s)

    def _fill(self, size: int) -> None:
        while self._trips < size:
            self._append(min(FILLED_BY, size - self._trips))

    def _append(self, trips: int, only_last_day: bool = False) -> None:
        """The next batch arrives."""
        self._arrival += timedelta(days=1)
        self._trips += trips
        events = trips * 2 * DAYS_OF_JANUARY if only_last_day else trips
        made = pa.Table.from_batches(synthetic.batches(next(self._seeds), events))
        if only_last_day:
            picked_up = made["tpep_pickup_datetime"]
            made = made.filter(pc.greater_equal(picked_up, pa.scalar(LAST_DAY, pa.timestamp("s"))))[:trips]
        self._silver.append(silver_rows(EVENTS.format(events="events"), self._arrival.isoformat(), events=made))

    def _build(self) -> tuple[float, float]:
        """Build and test Gold; how long it took, and how much of it the processors worked, in seconds."""
        began, cpu_before_s = time.monotonic(), _cpu_s()
        self._gold.build(self._silver.metadata, command="build")
        return time.monotonic() - began, _cpu_s() - cpu_before_s

    def _note(self, name: str, value: float) -> None:
        self.figures.setdefault(name, []).append(value)
        print(f"{name}: {value:.1f}", file=sys.stderr, flush=True)


def _cpu_s() -> float:
    return sum(os.times()[:4])


def main(sizes: list[int]) -> None:
    """Print every figure, of each round, as JSON; each to stderr when it is measured."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        growth = Growth(Path(folder))
        for size in sizes:
            growth.measure(size)
    print(json.dumps(growth.figures))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [*SIZES])
