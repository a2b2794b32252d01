"""The tables held still, so that they and what the jobs go on from can be copied as of one moment.

As a command, for a backup: `python -m lakehouse hold-still` says as JSON what stands still, and lets go when its input ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException

from lakehouse.maintenance.lease import lease
from lakehouse.maintenance.observe import table_name
from lakehouse.maintenance.orphans import every_table
from lakehouse.maintenance.run import QUARANTINE
from lakehouse.streaming import record as records
from lakehouse.streaming.cluster import JobCluster
from lakehouse.streaming.declared import JOBS
from lakehouse.streaming.job import FlinkJob
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.restore import state_to_restore

PURPOSE = "a backup"


@dataclass(frozen=True)
class RecoveryPoint:
    """What stands still.

    :param tables: name -> its newest metadata file
    :param states: job -> the savepoint or checkpoint that it goes on from; None when it has none and needs none
    """

    tables: dict[str, str]
    states: dict[str, str | None]


@contextmanager
def held_still() -> Iterator[RecoveryPoint]:
    """Stop the jobs with savepoints, and let nobody start them or touch a table; afterwards `flink_jobs` starts them.

    A checkpoint will not do: one that is newer than the tables' last commit lacks what was committed in between, an older
    one would write it again. After a stop with a savepoint nothing is in between.

    :raises AirflowException: somebody else writes tables, a job could not go on, or a lease was lost; nothing may be copied
    :raises FlinkError: a job does not stop with a savepoint; it goes on
    :raises TimeoutError: maintenance or a deployment did not end in time
    """
    state_dir = Variable.get("flink_state_dir")
    jobs = [FlinkJob(name, "", declared.tables, state_dir) for name, declared in JOBS.items()]
    cluster = JobCluster()
    with ExitStack() as held:
        # Before the jobs are stopped: maintenance may take its time to be done with a table.
        leases = [held.enter_context(lease(name, PURPOSE)) for name in _tables()]
        leases.append(held.enter_context(lease(QUARANTINE, PURPOSE, clear=lambda *_: None)))
        for job in jobs:
            held.enter_context(deployment_lock(job.name))
        if others := sorted({run.name for run in cluster.flink.all_runs() if run.live} - JOBS.keys()):
            raise AirflowException(
                f"Flink runs {', '.join(others)}: a replay, or a job by hand. What it builds would be in the backup half-done. "
                "Next: make the backup when it has ended."
            )
        for job in reversed(jobs):  # who reads, then who writes
            if run := cluster.flink.live_run(job.name):
                cluster.stop(job, run)
        yield RecoveryPoint(
            {table_name(table): table.metadata_location for table in every_table()},
            {job.name: state_to_restore(job, records.load(state_dir, job.name)) for job in jobs},
        )
        for one in leases:
            one.check()


def _tables() -> list[str]:
    """Every table; those of the jobs in the order in which a replay takes them, so that the two never wait for each other."""
    declared = [name for job in JOBS.values() for name in job.tables]
    there = {table_name(table) for table in every_table()}
    return [*(name for name in declared if name in there), *sorted(there - set(declared))]


def main() -> int:
    """Hold the tables still until the input ends."""
    with held_still() as point:
        print(json.dumps(asdict(point)), flush=True)
        sys.stdin.read()
    return 0
