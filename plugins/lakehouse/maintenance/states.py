"""Removes what Flink keeps of runs long gone: as long as a run could be restored, expiry keeps what it would need."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta

from airflow.sdk import Variable

from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.maintenance.engines import Result
from lakehouse.maintenance.log import Entry
from lakehouse.maintenance.run import Asked, recorded
from lakehouse.maintenance.settings import Engine, thresholds
from lakehouse.streaming import record
from lakehouse.streaming.declared import JOBS
from lakehouse.streaming.job import FlinkJob
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.retention import OldState, old_states


def remove_old_states(asked: Asked) -> Entry | None:
    """Remove checkpoints and savepoints that are older than `state_age_s`; None when there are none.

    :raises FlinkError: it cannot be asked which run is live; nothing was removed
    """
    age_s = thresholds(asked.overruled).state_age_s
    with ExitStack() as locks:
        for job in JOBS:
            locks.enter_context(deployment_lock(job))
        found = list(_found(time.time() - age_s))
        if not found:
            return None

        def act() -> Result:
            if not asked.dry_run:
                for state in found:
                    state.remove()
            files, size = sum(state.files for state in found), sum(state.bytes for state in found)
            return Result([asdict(state) for state in found], [], files, size)

        reason = f"{len(found):,} checkpoints and savepoints are older than {timedelta(seconds=age_s)}"
        parameters = {"state_age_s": age_s}
        return recorded(
            Entry(None, "remove_old_states", Engine.PYICEBERG, asked.dry_run, asked.by, parameters, reason, "", 0), act
        )


def _found(before: float) -> Iterator[OldState]:
    flink, state_dir = FlinkRestHook(), Variable.get("flink_state_dir")
    for name, declared in JOBS.items():
        live = flink.live_run(name)
        job = FlinkJob(name, script="", tables=declared.tables, state_dir=state_dir)
        yield from old_states(job, record.load(state_dir, name), live and live.job_id, before)
