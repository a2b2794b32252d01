"""Event triggers that start a DAG run as soon as something happens in Flink."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.exceptions import AirflowException
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from lakehouse.airflow import variables
from lakehouse.airflow.hooks.flink import FlinkError, FlinkRestHook
from lakehouse.streaming.job import JobState
from lakehouse.streaming.record import load

REPEATED_AFTER_S = 60


class FlinkJobGoneTrigger(BaseEventTrigger):
    """Fires when the JobManager is up but a job that should be running is not: the JobManager restarted, or the job failed.

    A job has to be missing in two polls in a row, so that an upgrade usually does not fire the trigger. While the job stays
    missing, the event is repeated every minute.

    :param jobs: names of the jobs
    :param poll_s: seconds between two polls
    """

    def __init__(self, jobs: list[str], poll_s: float = 2) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.jobs = jobs
        self.poll_s = poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {"jobs": self.jobs, "poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        seen: set[str] = set()
        fired_at = float("-inf")
        while True:
            gone = await asyncio.to_thread(self._gone)
            if gone & seen and time.monotonic() - fired_at > REPEATED_AFTER_S:
                fired_at = time.monotonic()
                yield TriggerEvent({"gone": sorted(gone & seen)})
            elif not gone:
                fired_at = float("-inf")
            seen = gone
            await asyncio.sleep(self.poll_s)

    def _gone(self) -> set[str]:
        flink = FlinkRestHook()
        try:
            live = {run.name for run in flink.all_runs() if run.live}
        except FlinkError:
            return set()  # no job could be started now anyway
        state_dir = variables.text("flink_state_dir")
        return {job for job in self.jobs if job not in live and not _suspended(state_dir, job)}


def _suspended(state_dir: str, job: str) -> bool:
    try:
        return load(JobState(job, (), state_dir)).suspended
    except AirflowException:
        return False  # the record is damaged: the run that this triggers reports it, with the next step
