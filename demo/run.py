"""`make demo`: starts the platform, runs the main job through Airflow, and prints a table of the result."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from demo import embedded, window
from demo import source as sources
from demo.main_job import MainJob, Outcome, Trips
from demo.report import show, verdict
from demo.window import Window
from local import commands, config, supervision
from local.config import DEMO, Platform, PlatformError
from local.memory import PeakMemory
from local.only_one import only_one
from local.progress import Progress
from local.supervision import Supervisor

SAMPLE = "select pickup_date, trip_count, total_revenue from mart_daily_revenue order by 1 limit 5"


def demo(
    events: int | None = None,
    seed: int | None = None,
    source: Path | None = None,
    pickup_from: str | None = None,
    pickup_to: str | None = None,
) -> None:
    """Start missing services, send the trips through all layers, and report.

    :param events: number of trips; by default 10,000, or the whole source
    :param seed: seed of synthetic trips; by default the next unused one
    :param source: a TLC file instead of synthetic trips
    :param pickup_from: start of the pickup times that Silver accepts from now on, or `auto`: the months of the trips
    :param pickup_to: exclusive end of these pickup times
    :raises PlatformError: an argument is invalid, a step failed, a count is wrong, or most trips were rejected
    """
    with only_one(DEMO):
        _demo(events, seed, source, window.read(pickup_from, pickup_to))


def _demo(events: int | None, seed: int | None, source: Path | None, wanted: Window | str | None) -> None:
    began = time.monotonic()
    trips = Trips(events, Trips().seed if seed is None else seed, str(source.resolve()) if source is not None else None)
    _look(trips, wanted)
    commands.up()
    platform = config.load()
    if seed is None:
        trips = replace(trips, seed=next_seed(platform))
    daemon = Supervisor(platform).pid()
    with PeakMemory(lambda: supervision.family(daemon)) as memory:
        job = embedded.main_job(platform, Progress())
        job.deploy()
        started = time.monotonic() - began
        outcome = job.run(trips)
    outcome.phases_s = {"start": round(started, 1), **outcome.phases_s}
    _write(platform, trips, outcome, memory)
    _print(platform, job, outcome, memory)
    if problem := verdict(outcome, other_window(events, source)):
        raise PlatformError(problem)


def _look(trips: Trips, wanted: Window | str | None) -> None:
    """Check that the trips can be read, and set the window."""
    if trips.source is not None:
        sources.check(trips.source)
    if wanted is not None:
        window.put_in_force(sources.months(trips) if isinstance(wanted, str) else wanted)


def other_window(events: int | None, source: Path | None) -> str:
    """The command that makes Silver accept these trips."""
    given = {"SOURCE": source, "EVENTS": events, window.FROM: window.AUTO}
    words = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in given.items() if value is not None)
    return f"make demo {words} accepts the months of these trips; or choose the window with {window.FROM}= and {window.TO}="


def next_seed(platform: Platform) -> int:
    """A seed that no earlier demo of this platform has used; it is stored before the first trip is sent."""
    remembered = platform.home / "demo-seed"
    seed = (int(remembered.read_text()) if remembered.exists() else _seed_of_report(platform)) + 1
    remembered.write_text(f"{seed}\n")
    return seed


def _seed_of_report(platform: Platform) -> int:
    """The seed of the last demo, as stored by earlier versions; 0 before the first one."""
    try:
        return int(json.loads(_report(platform).read_text())["trips"]["seed"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Trips().seed - 1


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
        f" ({memory.rss_mb:,.0f} MB if memory that processes share is counted once for each of them)"
    )
    query = f"make query PIPELINE={job.pipeline.name} SQL='{SAMPLE}'"
    console.print(f"Gold: {published_file(job.pipeline)}, for example\n  {query}", soft_wrap=True)
    console.print(f"The same as JSON: {_report(platform)}")
    print(commands.addresses(platform))
