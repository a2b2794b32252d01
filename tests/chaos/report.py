"""The table of outcomes: as JSON, on the terminal, and as the page in docs/."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from chaos.engine import Fault, Outcome
from lakehouse.quality.audit import AuditReport

SEQUENCE = "each starts before the previous one ends"
COLUMNS = [field.name for field in fields(Outcome)]
PAGE = """# Chaos tests

Written by `make chaos SEED={seed}` on {machine}. Each fault hits the real platform under {rate:,} events/s, with a checkpoint
every {checkpoint_s} s. Then the load stops, everything in flight arrives, and every event is looked up in each layer by its
partition and offset.

- `recovery_s`: from the end of the fault until all services and both streaming jobs are healthy and new rows reach Silver (bold:
  slower than the goal). The row `nothing` is the baseline: committing new rows takes a few seconds anyway.
- `rows_in_flight`: the maximum number of events that Kafka held and Silver did not.
- `lost`, `duplicated`, `altered`: rows that are missing, present too often, or have other values than were sent.

| {columns} | what happens |
|---|---:|---:|---:|---:|---:|---|
{rows}

At the end, `make audit` read every event again from Kafka and compared it with each layer up to Gold:

```
{audit}
```
"""


class Report:
    """Collects outcomes, and writes each immediately, so that an interrupted suite keeps its results.

    :param file: for the JSON, a list with one object per fault
    """

    def __init__(self, file: Path, faults: Iterable[Fault], seed: int, rate: int, checkpoint_s: int) -> None:
        self.outcomes: list[Outcome] = []
        #: Name of a fault that was not injected -> why.
        self.left_out: dict[str, str] = {}
        #: The audit at the end of the suite.
        self.audit: AuditReport | None = None
        self._file = file
        self._faults = {fault.name: fault for fault in faults}
        self._made_with = {"seed": seed, "rate": rate, "checkpoint_s": checkpoint_s}
        memory = f"{psutil.virtual_memory().total / 2**30:.0f} GB"
        self._machine = f"{os.cpu_count()} cores, {memory}, load {os.getloadavg()[0]:.1f} before"

    def add(self, outcome: Outcome) -> None:
        """Add an outcome, and rewrite the JSON."""
        self.outcomes.append(outcome)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps([asdict(outcome) for outcome in self.outcomes], indent=2) + "\n")

    def show(self) -> None:
        """Print the table, and faults that were not injected with the reasons."""
        table = Table(*COLUMNS)
        for outcome in self.outcomes:
            style = "red" if not outcome.good else "yellow" if self._is_late(outcome) else None
            table.add_row(*_cells(outcome), style=style)
        console = Console(highlight=False, width=None if os.isatty(1) else 140)
        console.print(table, f"The same as JSON: {self._file}", sep="\n")
        for name, why in self.left_out.items():
            console.print(f"not struck: {name}: {why}")
        console.print(str(self.audit))

    def write_page(self, page: Path) -> None:
        """The page in docs/."""
        page.parent.mkdir(exist_ok=True)
        rows = [self._row(outcome) for outcome in self.outcomes]
        rows += [f"| {name} | not struck | | | | | {why.splitlines()[0]} |" for name, why in self.left_out.items()]
        filled_in = {
            "machine": self._machine,
            "columns": " | ".join(COLUMNS),
            "rows": "\n".join(rows),
            "audit": self.audit,
        }
        page.write_text(PAGE.format(**self._made_with, **filled_in))

    def _row(self, outcome: Outcome) -> str:
        name, recovery, *counts = _cells(outcome)
        what = self._faults[name].what if name in self._faults else SEQUENCE
        recovery = f"**{recovery}**" if self._is_late(outcome) else recovery
        return f"| {' | '.join([name, recovery, *counts, what])} |"

    def _is_late(self, outcome: Outcome) -> bool:
        goal_s = self._faults[outcome.fault].goal_s if outcome.fault in self._faults else float("inf")
        return outcome.recovery_s is None or outcome.recovery_s > goal_s


def _cells(outcome: Outcome) -> list[str]:
    recovery = "not by itself" if outcome.recovery_s is None else f"{outcome.recovery_s:.1f}"
    counts = (outcome.rows_in_flight, outcome.lost, outcome.duplicated, outcome.altered)
    return [outcome.fault, recovery, *(f"{count:,}" for count in counts)]
