"""Figures of the streaming jobs: an upgrade under load, a million trips in one burst, and what it costs to check them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from demo.main_job import GENERATOR_DAG, JOBS_DAG, TABLES, MainJob, Trips
from local.watching import Watching

if TYPE_CHECKING:
    from demo.bench import Bench
    from lakehouse.pipelines.model import Stage

UPGRADES, CHECKS, BURSTS, AUDITS = 3, 20, 3, 3
LOAD_RATE, LOAD_EVENTS = 1_000, 90_000
BURST_TRIPS = 1_000_000


class InFlight(Watching):
    """The most events that Kafka held and Bronze did not, while the block runs."""

    def __init__(self, job: MainJob) -> None:
        super().__init__()
        self._job = job
        self.most = 0

    def look(self) -> None:
        self.most = max(self.most, self._job.ledger()["bronze"].in_flight)


def checks(bench: Bench, job: MainJob) -> None:
    """What the ledger and the health of both jobs cost in a pipeline run."""
    from lakehouse.quality.ledger import read_ledger
    from lakehouse.streaming.flow import flows_of
    from lakehouse.streaming.health import health_of

    flows = flows_of(job.pipeline)
    for name, check in {"ledger": lambda: read_ledger(job.pipeline), "health": lambda: health_of(flows)}.items():
        for _ in range(CHECKS):
            bench.note(f"{name}, ms", 1_000 * bench.timed(check))


def upgrades(bench: Bench, job: MainJob) -> None:
    """Other options, so that both jobs are upgraded by savepoint while trips arrive at a steady rate."""
    for number in range(1, UPGRADES + 1):
        _upgrade(bench, job, number)


def _upgrade(bench: Bench, job: MainJob, number: int) -> None:
    from airflow.sdk import Variable

    options = Variable.get("flink_job_options", deserialize_json=True)
    trips = {"events": LOAD_EVENTS, "mode": "realtime", "rate": LOAD_RATE, "seed": 1_000 + number}
    before = job.ledger().rows(TABLES["bronze"])
    load = job.api.trigger(GENERATOR_DAG, trips)
    job.wait(lambda: job.ledger().rows(TABLES["bronze"]) > before, "trips to reach Bronze", 60)
    job.at_rest(JOBS_DAG, 120)
    changed = options | {"execution.checkpointing.min-pause": f"{number} ms"}
    job.api.set_variable("flink_job_options", json.dumps(changed))
    with InFlight(job) as in_flight:
        run = job.deploy()
    for name, stage in job.pipeline.stages.items():
        deployed = job.api.returned(JOBS_DAG, run, f"{job.pipeline.name}.deploy_{name}")
        bench.note(f"upgrade of {name}, savepoint triggered -> first commit, s", _pause_s(stage, deployed["job_id"]))
    bench.note(f"the most events that waited for Bronze meanwhile, at {LOAD_RATE:,} events/s", in_flight.most)
    job.wait(lambda: job.api.state(GENERATOR_DAG, load) == "success", "the load to end", 180)
    job.wait(job.ledger_at_rest, "rows to arrive", 120)


def _pause_s(stage: Stage, job_id: str) -> float:
    """Seconds from the savepoint that ended the run before to the first commit of this one."""
    from lakehouse.airflow.hooks.flink import FlinkRestHook
    from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, summary_of

    flink = FlinkRestHook()
    restored = flink.checkpoints(job_id)["latest"]["restored"]["external_path"]
    ended = [flink.checkpoints(run.job_id)["history"] for run in flink.runs(stage.job) if not run.live]
    folder = restored.rsplit("/", 1)[-1]
    taken = [c for history in ended for c in history if (c.get("external_path") or "").endswith(folder)]
    if not taken:
        raise RuntimeError(f"{stage.job} was restored from {restored}, which no run that ended has taken: {ended}")
    stopped_ms = taken[0]["trigger_timestamp"]
    iceberg = IcebergCatalogHook()
    commits = [
        snapshot.timestamp_ms
        for table in stage.tables
        for snapshot in iceberg.table(table).snapshots()
        if summary_of(snapshot).get("flink.job-id") == job_id
    ]
    return (min(commits) - stopped_ms) / 1_000


def bursts(bench: Bench, job: MainJob) -> None:
    """A million trips at once, through both jobs."""
    for number in range(1, BURSTS + 1):
        _, phases_s = job.send(Trips(BURST_TRIPS, seed=2_000 + number))
        for phase in ("produce", "bronze", "silver"):
            bench.note(f"{BURST_TRIPS:,} trips, first event -> {phase}, s", phases_s[phase])


def audits(bench: Bench, job: MainJob) -> None:
    """The audit of all that is there, in a process of its own."""
    job.build()
    rows = job.ledger().events
    for _ in range(AUDITS):
        seconds, memory_mb = bench.verb("audit", "--pipeline", job.pipeline.name)
        bench.note(f"audit of {rows:,} events, events/s", rows / seconds)
        bench.note("the same, peak memory (RSS), MB", memory_mb)
