"""Removes checkpoints and savepoints of former runs, because they hold back the expiry of snapshots."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta

from lakehouse.maintenance.engines import OperationResult
from lakehouse.maintenance.log import LogEntry
from lakehouse.maintenance.run import Options, execute_and_log
from lakehouse.maintenance.settings import Engine, thresholds
from lakehouse.streaming import record
from lakehouse.streaming.cluster import JobCluster
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.retention import OldState, old_states
from lakehouse.streaming.stages import job_states


def remove_old_states(options: Options) -> LogEntry | None:
    """Remove checkpoints and savepoints that are older than `state_age_s`; None if there are none.

    :raises FlinkError: Flink cannot be asked which runs are live; nothing was removed
    """
    age_s = thresholds(options.overrides).state_age_s
    with ExitStack() as locks:
        for job in job_states():
            locks.enter_context(deployment_lock(job.name))
        found = list(_found(time.time() - age_s))
        if not found:
            return None

        def execute() -> OperationResult:
            if not options.dry_run:
                for state in found:
                    state.remove()
            files, size = sum(state.files for state in found), sum(state.bytes for state in found)
            return OperationResult([asdict(state) for state in found], [], files, size)

        reason = f"{len(found):,} checkpoints and savepoints are older than {timedelta(seconds=age_s)}"
        parameters = {"state_age_s": age_s}
        return execute_and_log(
            LogEntry(
                None,
                "remove_old_states",
                Engine.PYICEBERG,
                options.dry_run,
                options.requested_by,
                parameters,
                reason,
                "",
                0,
            ),
            execute,
        )


def _found(before: float) -> Iterator[OldState]:
    cluster = JobCluster()
    for job in job_states():
        live = cluster.live_run(job)
        yield from old_states(job, record.load(job), live.job_id if live else None, before)
