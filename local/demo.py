"""`make demo`: the platform up, the main job run through Airflow, and a table of what came of it."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from local import supervision
from local.config import Platform
from local.main_job import MainJob, Outcome, Trips
from local.memory import PeakMemory
from local.progress import Progress
from local.report import show
from local.supervision import Supervisor

SAMPLE = "select pickup_date, trip_count, total_revenue from mart_daily_revenue order by 1 limit 5"


def demo(platform: Platform, began: float, trips: Trips) -> bool:
    """Run the main job on the platform that `up` has just brought up, and report; whether everything was right.

    :param began: `time.monotonic()` when the platform's start began
    """
    daemon = Supervisor(platform).pid()
    progress = Progress()
    with PeakMemory(lambda: supervision.family(daemon)) as memory:
        job = MainJob.of(platform, progress)
        job.deploy()
        started = time.monotonic() - began
        outcome = job.run(trips)
    outcome.phases_s = {"start": round(started, 1), **outcome.phases_s}
    _write(platform, trips, outcome, memory)
    _print(platform, outcome, memory)
    return outcome.right


def next_seed(platform: Platform) -> int:
    """A seed whose trips no earlier demo of this platform has sent."""
    report = _report(platform)
    return json.loads(report.read_text())["trips"]["seed"] + 1 if report.exists() else Trips().seed


def _report(platform: Platform) -> Path:
    return platform.home / "demo.json"


def _write(platform: Platform, trips: Trips, outcome: Outcome, memory: PeakMemory) -> None:
    peak = {"peak_rss_mb": round(memory.rss_mb), "peak_pss_mb": round(memory.pss_mb)}
    found = {"trips": asdict(trips), **asdict(outcome), **peak}
    _report(platform).write_text(json.dumps(found, indent=2) + "\n")


def _print(platform: Platform, outcome: Outcome, memory: PeakMemory) -> None:
    console = Console(highlight=False)
    show(outcome, console)
    console.print(
        f"Peak memory of the platform: {memory.pss_mb:,.0f} MB"
        f" ({memory.rss_mb:,.0f} MB when pages that processes share count for each of them)"
    )
    console.print(
        f"Gold: {platform.home / 'gold' / 'gold.duckdb'}, for example\n  make query SQL='{SAMPLE}'", soft_wrap=True
    )
    console.print(f"The same as JSON: {_report(platform)}")
