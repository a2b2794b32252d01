"""Quiesces the whole platform, so that its tables and the state of its jobs can be copied consistently.

For a backup, `python -m lakehouse quiesce` prints the recovery point as JSON, and releases the platform when its input ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance.lease import lease
from lakehouse.maintenance.observe import table_name
from lakehouse.maintenance.run import QUARANTINE
from lakehouse.pipelines.load import declarations
from lakehouse.streaming import record as records
from lakehouse.streaming.cluster import JobCluster
from lakehouse.streaming.job import JobState
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.restore import state_to_restore
from lakehouse.streaming.stages import job_states

PURPOSE = "a backup"


@dataclass(frozen=True)
class RecoveryPoint:
    """A consistent version of the quiesced platform.

    :param tables: name -> its current metadata file
    :param states: job -> the savepoint or checkpoint that it continues from; None if it has none and needs none
    """

    tables: dict[str, str]
    states: dict[str, str | None]


@contextmanager
def quiesce() -> Iterator[RecoveryPoint]:
    """Stop all jobs with savepoints, and lock jobs and tables; afterwards, `flink_jobs` starts the jobs.

    A checkpoint is not enough: one that is newer than the tables' last commit lacks what was committed in between, and with an
    older one, it would be written again. After a stop with a savepoint, state and tables match.

    :raises AirflowException: other jobs write tables, a job could not continue, or a lease was lost; do not use the copy
    :raises FlinkError: a job could not be stopped with a savepoint; it keeps running
    :raises TimeoutError: maintenance or a deployment did not finish in time
    """
    jobs, cluster = job_states(), JobCluster()
    with ExitStack() as held:
        # Before the jobs are stopped, because it may take a while until maintenance has finished with a table.
        leases = [held.enter_context(lease(name, PURPOSE)) for name in _tables(jobs)]
        leases.append(held.enter_context(lease(QUARANTINE, PURPOSE, clear=lambda *_: None)))
        for job in jobs:
            held.enter_context(deployment_lock(job.name))
        _refuse_other_jobs(jobs, cluster)
        for job in reversed(jobs):  # readers before writers
            if run := cluster.live_run(job):
                cluster.stop(job, run)
        yield RecoveryPoint(
            {table_name(table): table.metadata_location for table in IcebergCatalogHook().every_table()},
            {job.name: state_to_restore(job, records.load(job)) for job in jobs},
        )
        for one in leases:
            one.check()


def _tables(jobs: list[JobState]) -> list[str]:
    """Every table, in the order in which a replay takes the leases, so that there is no deadlock."""
    declared = [name for job in jobs for name in job.tables]
    existing = {table_name(table) for table in IcebergCatalogHook().every_table()}
    return [*(name for name in declared if name in existing), *sorted(existing - set(declared))]


def _refuse_other_jobs(jobs: list[JobState], cluster: JobCluster) -> None:
    names = {name for job in jobs for name in job.names}
    if others := sorted({run.name for run in cluster.flink.all_runs() if run.live} - names):
        broken = "".join(f" {problem}." for problem in declarations().problems.values())
        raise AirflowException(
            f"Flink is running {', '.join(others)}, which is not in a valid declaration: a replay, a job that was started "
            f"manually, or one of a broken declaration.{broken} The backup would contain unfinished work. Next: make the "
            "backup when it has ended, or fix the declaration."
        )


def main() -> int:
    """Keep the platform quiesced until the input ends."""
    with quiesce() as point:
        print(json.dumps(asdict(point)), flush=True)
        sys.stdin.read()
    return 0
