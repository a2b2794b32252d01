"""`make demo`: the platform up, the main job run through Airflow, and a table of what came of it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from demo.main_job import MainJob, Outcome, Trips
from demo.report import show
from local import config, supervision, verbs
from local.config import Platform, PlatformError
from local.memory import PeakMemory
from local.progress import Progress
from local.supervision import Supervisor

SAMPLE = "select pickup_date, trip_count, total_revenue from mart_daily_revenue order by 1 limit 5"


def demo(events: int | None = None, seed: int | None = None, source: Path | None = None) -> None:
    """Start what is not running, send the trips through every layer, and report.

    :param events: how many; by default 10,000, or the whole source
    :param seed: of synthetic trips; by default the next unused one
    :param source: a TLC file instead of synthetic trips
    :raises PlatformError: a step failed, or a count is not as expected
    """
    began = time.monotonic()
    verbs.up()
    platform = config.load()
    trips = Trips(
        events, next_seed(platform) if seed is None else seed, str(source.resolve()) if source is not None else None
    )
    daemon = Supervisor(platform).pid()
    with PeakMemory(lambda: supervision.family(daemon)) as memory:
        job = MainJob.of(platform, Progress())
        job.deploy()
        started = time.monotonic() - began
        outcome = job.run(trips)
    outcome.phases_s = {"start": round(started, 1), **outcome.phases_s}
    _write(platform, trips, outcome, memory)
    _print(platform, job, outcome, memory)
    if not outcome.right:
        raise PlatformError("the counts or the ledger are not as they should be (see the table)")


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


def _print(platform: Platform, job: MainJob, outcome: Outcome, memory: PeakMemory) -> None:
    from lakehouse.gold.file import published_file

    console = Console(highlight=False)
    show(outcome, console)
    console.print(
        f"Peak memory of the platform: {memory.pss_mb:,.0f} MB"
        f" ({memory.rss_mb:,.0f} MB when pages that processes share count for each of them)"
    )
    query = f"make query PIPELINE={job.pipeline.name} SQL='{SAMPLE}'"
    console.print(f"Gold: {published_file(job.pipeline)}, for example\n  {query}", soft_wrap=True)
    console.print(f"The same as JSON: {_report(platform)}")
    print(verbs.addresses(platform))
