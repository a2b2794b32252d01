"""The whole platform quiesced, so that its tables and what the jobs go on from can be copied as of one moment.

As a command, for a backup: `python -m lakehouse quiesce` prints the recovery point as JSON, and lets go when its input ends.
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
    """What is at rest.

    :param tables: name -> its newest metadata file
    :param states: job -> the savepoint or checkpoint that it goes on from; None when it has none and needs none
    """

    tables: dict[str, str]
    states: dict[str, str | None]


@contextmanager
def quiesce() -> Iterator[RecoveryPoint]:
    """Stop the jobs of all pipelines with savepoints, and let nobody start them or touch a table; then `flink_jobs` starts them.

    A checkpoint will not do: one that is newer than the tables' last commit lacks what was committed in between, an older
    one would write it again. After a stop with a savepoint nothing is in between.

    :raises AirflowException: somebody else writes tables, a job could not go on, or a lease was lost; nothing may be copied
    :raises FlinkError: a job does not stop with a savepoint; it goes on
    :raises TimeoutError: maintenance or a deployment did not end in time
    """
    jobs, cluster = job_states(), JobCluster()
    with ExitStack() as held:
        # Before the jobs are stopped: maintenance may take its time to be done with a table.
        leases = [held.enter_context(lease(name, PURPOSE)) for name in _tables(jobs)]
        leases.append(held.enter_context(lease(QUARANTINE, PURPOSE, clear=lambda *_: None)))
        for job in jobs:
            held.enter_context(deployment_lock(job.name))
        _refuse_other_jobs(jobs, cluster)
        for job in reversed(jobs):  # who reads, then who writes
            if run := cluster.live_run(job):
                cluster.stop(job, run)
        yield RecoveryPoint(
            {table_name(table): table.metadata_location for table in IcebergCatalogHook().every_table()},
            {job.name: state_to_restore(job, records.load(job)) for job in jobs},
        )
        for one in leases:
            one.check()


def _tables(jobs: list[JobState]) -> list[str]:
    """Every table; those of the jobs in the order in which a replay takes them, so that the two never wait for each other."""
    declared = [name for job in jobs for name in job.tables]
    existing = {table_name(table) for table in IcebergCatalogHook().every_table()}
    return [*(name for name in declared if name in existing), *sorted(existing - set(declared))]


def _refuse_other_jobs(jobs: list[JobState], cluster: JobCluster) -> None:
    names = {name for job in jobs for name in job.names}
    if others := sorted({run.name for run in cluster.flink.all_runs() if run.live} - names):
        broken = "".join(f" {problem}." for problem in declarations().problems.values())
        raise AirflowException(
            f"Flink runs {', '.join(others)}, which no valid declaration names: a replay, a job by hand, or one of a broken "
            f"declaration.{broken} What it builds would be half-done in the backup. Next: make the backup when it has ended, or "
            "fix the declaration."
        )


def main() -> int:
    """Keep everything at rest until the input ends."""
    with quiesce() as point:
        print(json.dumps(asdict(point)), flush=True)
        sys.stdin.read()
    return 0
