"""`make bench`: the figures in docs/figures.md, medians of three, on a separate platform that starts empty.

Nothing else should run meanwhile: the load of the machine at the start is part of the report.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import psutil
from rich.console import Console
from rich.table import Table

from demo import embedded
from demo.bench import streams, tables
from demo.main_job import GOLD_DAG, MainJob, Trips
from local import airflow, supervision
from local.config import ROOT, Platform, PlatformError
from local.memory import PeakMemory
from local.progress import Progress
from local.services import services
from local.start import start
from local.supervision import Supervisor

ROUNDS = 3
BURST_EVENTS = 1_000_000
TRIPS = 10_000
TASKS = ("check_flink_health", "prepare", "gold.dbt_build", "publish")


class Bench:
    """Figures by name, each measured some times."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._environment = dict(os.environ)  # without what this process looks the platform's variables up in
        self.progress = Progress()
        self.figures: dict[str, list[float]] = {}

    def run(self) -> None:
        """Everything, from the part alone to the whole."""
        airflow.adopt(self.platform)
        load = os.getloadavg()[0]
        self.apart("demo.bench.history")
        self.apart("tests.gold.growth")
        self.burst()
        self.up()
        for _ in range(ROUNDS):
            self.down()
            self.note("warm `make up`, s", self.timed(self.up))
        daemon = Supervisor(self.platform).pid()
        with PeakMemory(lambda: supervision.family(daemon)) as memory:
            job = self.main_job()
        self.note("peak memory of the platform (PSS), MB", memory.pss_mb)
        self.note("the same, shared pages counted for each process (RSS), MB", memory.rss_mb)
        streams.checks(self, job)
        streams.upgrades(self, job)
        streams.bursts(self, job)
        streams.audits(self, job)
        tables.rewrites(self, job)
        tables.commits(self, job)
        self.report(load)

    def up(self) -> None:
        """`make up`."""
        self._local("up")

    def down(self) -> None:
        """`make down`."""
        self._local("down")

    def _local(self, verb: str) -> None:
        subprocess.run([sys.executable, "-m", "local", verb], cwd=ROOT, env=self._environment, check=True)

    def burst(self) -> None:
        """The producer against a broker with nothing else running."""
        kafka = next(service for service in services(self.platform) if service.name == "kafka")
        supervisor = Supervisor(self.platform)
        supervisor.launch([kafka])
        start(self.platform, supervisor, [kafka])
        import taxi_generator as generator
        from lakehouse.airflow.hooks.kafka import TopicHook

        servers = {"bootstrap.servers": self.platform.values["KAFKA_BOOTSTRAP_SERVERS"]}
        TopicHook("bench").ensure(partitions=3, retention_ms=3_600_000)
        for seed in range(1, ROUNDS + 1):
            sent = generator.run(
                servers, registry=None, topic="bench", events=BURST_EVENTS, seed=seed, log=self.progress.waiting
            )
            self.note("producer, burst with Kafka alone, events/s", sent["rate"])
        self.down()

    def apart(self, module: str) -> None:
        """What needs no platform: figures that a process of its own prints as JSON."""
        command = [sys.executable, "-m", module]
        environment = self._environment | {"PYTHONPATH": str(ROOT / "plugins")}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        for name, values in json.loads(done.stdout).items():
            for value in values:
                self.note(name, value)

    def main_job(self) -> MainJob:
        """New trips through every layer, to Gold."""
        job = embedded.main_job(self.platform, self.progress)
        self.note("`flink_jobs` that deploys everything, s", self.timed(job.deploy))
        job.run(Trips(TRIPS, seed=100))  # the first one also loads what later ones find loaded
        for seed in range(1, ROUNDS + 1):
            outcome = job.run(Trips(TRIPS, seed))
            if not outcome.right:
                raise PlatformError(f"rows {outcome.rows} instead of {outcome.expected}: no figure counts")
            for phase, name in {
                "bronze": f"first event -> Bronze complete, {TRIPS:,} trips, s",
                "silver": f"first event -> Silver complete, {TRIPS:,} trips, s",
                "gold": "pipeline triggered -> Gold published, s",
                "end_to_end": f"first event -> Gold published, {TRIPS:,} trips, s",
            }.items():
                self.note(name, outcome.phases_s[phase])
            self.note_tasks(job)
        return job

    def note_tasks(self, job: MainJob) -> None:
        """How long the newest pipeline run took, whole and by task."""
        newest = job.api.call("GET", f"dags/{GOLD_DAG}/dagRuns?order_by=-run_after&limit=1")["dag_runs"][0]
        tasks = job.api.tasks(GOLD_DAG, newest["dag_run_id"])
        started = min(task["start_date"] for task in tasks.values() if task["start_date"])
        ended = max(task["end_date"] for task in tasks.values() if task["end_date"])
        self.note("pipeline run, whole, s", (ended - started).total_seconds())
        for name in TASKS:
            self.note(f"    task {name}, s", (tasks[name]["end_date"] - tasks[name]["start_date"]).total_seconds())

    def note(self, name: str, value: float) -> None:
        """Keep one measurement, and show it."""
        self.figures.setdefault(name, []).append(round(value, 1))
        self.progress.done(f"{name}: {value:,.1f}")

    def timed(self, action: Callable[[], object]) -> float:
        """Seconds that the action takes."""
        began = time.monotonic()
        action()
        return time.monotonic() - began

    def verb(self, *arguments: str) -> tuple[float, float]:
        """Seconds of a verb of `python -m lakehouse` in a process of its own, and its peak memory (RSS, MB).

        :raises PlatformError: it failed: no figure counts
        """
        environment = os.environ | {"PYTHONPATH": str(ROOT / "plugins")}
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "lakehouse", *arguments], env=environment, stdout=subprocess.DEVNULL
        )
        with PeakMemory(lambda: [psutil.Process(process.pid)]) as memory:
            if process.wait():
                raise PlatformError(f"{' '.join(arguments)} failed: no figure counts")
        return time.monotonic() - began, memory.rss_mb

    def report(self, load: float) -> None:
        """Print the medians, and write them with every value as JSON."""
        machine = (
            f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB, load {load:.1f} at the start"
        )
        file = self.platform.home / "bench.json"
        medians = {name: median(values) for name, values in self.figures.items()}
        file.write_text(json.dumps({"machine": machine, "median": medians, "values": self.figures}, indent=2) + "\n")
        table = Table("figure", "median", "values", title=machine, title_justify="left")
        for name, values in self.figures.items():
            table.add_row(name, f"{medians[name]:,.1f}", ", ".join(f"{value:,.1f}" for value in values))
        Console(highlight=False).print(table, f"The same as JSON: {file}", sep="\n")
