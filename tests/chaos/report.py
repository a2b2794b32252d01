"""The table of outcomes: as JSON, on the terminal, and as the page in docs/."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from chaos.engine import Outcome
from chaos.load import RATE
from local.config import ROOT

PAGE = ROOT / "docs" / "chaos.md"
COLUMNS = ("fault", "recovery_s", "rows_in_flight", "lost", "doubled", "altered")
IN_A_ROW = "the next before the last is over"
NOT_BY_ITSELF = "not by itself"


def write_json(file: Path, outcomes: Sequence[Outcome]) -> None:
    """A list of objects, one a fault, after each fault anew: what was measured outlives a suite that is interrupted."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")


def show(outcomes: Sequence[Outcome], left_out: dict[str, str]) -> None:
    """Print the table, and what was not struck and why."""
    table = Table(*COLUMNS)
    for outcome in outcomes:
        table.add_row(*_cells(outcome), style=None if outcome.good else "red")
    console = Console(highlight=False, width=None if os.isatty(1) else 140)
    console.print(table)
    for name, why in left_out.items():
        console.print(f"not struck: {name}: {why}")


def write_page(outcomes: Sequence[Outcome], what: dict[str, str], left_out: dict[str, str], seed: int) -> None:
    """docs/chaos.md from the outcomes."""
    machine = f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB"
    row = "| {} | {} |".format
    rows = [row(" | ".join(_cells(outcome)), what.get(outcome.fault, IN_A_ROW)) for outcome in outcomes]
    skipped = "".join(f"- **{name}**: {why}\n" for name, why in left_out.items())
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(
        f"""# Chaos: what breaks, and what comes of the rows

Written by `make chaos SEED={seed}` on {machine}. Each fault is struck on the real platform under {RATE:,} events/s. Then
the load ends, everything in flight arrives, and every event is looked for by its partition and offset in each layer.

- `recovery_s`: from the end of the fault until every part and both streaming jobs were healthy and new rows reached Silver.
  The row `nothing` is the measure: with checkpoints every 10 s, new rows take that long anyway.
- `rows_in_flight`: the most events that Kafka held and Silver did not.
- `lost`, `doubled`, `altered`: rows that are missing, are there too often, or have other values than were sent.

| {" | ".join(COLUMNS)} | what is done |
|---|---:|---:|---:|---:|---:|---|
{chr(10).join(rows)}

{"Not struck:" + chr(10) + chr(10) + skipped if skipped else ""}"""
    )


def _cells(outcome: Outcome) -> list[str]:
    recovery = NOT_BY_ITSELF if outcome.recovery_s is None else f"{outcome.recovery_s:.1f}"
    counts = (outcome.rows_in_flight, outcome.lost, outcome.doubled, outcome.altered)
    return [outcome.fault, recovery, *(f"{count:,}" for count in counts)]
