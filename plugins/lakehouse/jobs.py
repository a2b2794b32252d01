"""The life of a Flink SQL job: found by name, compared by fingerprint, started from its own state, never started twice."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import AirflowException

from lakehouse.hooks.flink import FlinkError, FlinkJobRun, FlinkRestHook, SqlGatewayHook
from lakehouse.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.sql import statements
from lakehouse.waiting import wait_until

log = logging.getLogger(__name__)

SUBMIT_LIMIT_S = 180
RUNNING_LIMIT_S = 120
SAVEPOINT_LIMIT_S = 300


@dataclass(frozen=True)
class FlinkJob:
    """A streaming job as it should be.

    :param name: the job's name in Flink, and the folder of its state
    :param script: rendered Flink SQL, session set-up included; its last statement starts the job
    :param sink: the Iceberg table whose emptiness tells a first start
    :param state_dir: URI under which checkpoints and savepoints live
    :param options: Flink options of the job
    """

    name: str
    script: str
    sink: str
    state_dir: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Changes exactly when the SQL or an option does."""
        declared = json.dumps([self.script, sorted(self.options.items())])
        return hashlib.sha256(declared.encode()).hexdigest()[:16]

    @property
    def checkpoint_dir(self) -> str:
        return f"{self.state_dir}/checkpoints/{self.name}"

    @property
    def savepoint_dir(self) -> str:
        return f"{self.state_dir}/savepoints/{self.name}"


@dataclass(frozen=True)
class Deployment:
    """What one deployment found and did.

    :param action: "unchanged", "started" (no state, empty table), "restored" or "upgraded"
    :param restored_from: path of the checkpoint or savepoint that the job started from
    """

    job: str
    action: str
    job_id: str
    fingerprint: str
    restored_from: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class JobDeployer:
    """Brings the cluster to what a `FlinkJob` declares."""

    def __init__(self) -> None:
        self.flink = FlinkRestHook()
        self.gateway = SqlGatewayHook()
        self.iceberg = IcebergCatalogHook()

    def deploy(self, job: FlinkJob) -> Deployment:
        """Start, upgrade or leave the job as it is. Deployments of one job wait for each other, so two deploy once.

        :raises AirflowException: a fresh start would double the rows of a table that is not empty
        :raises FlinkError: Flink refused; the message carries its cause
        :raises TimeoutError: the job did not start within its limit
        """
        with self.iceberg.lock(f"flink-job:{job.name}"):
            run = self.flink.live_run(job.name)
            if run is None:
                return self._start(job, self._state_to_restore(job))
            if self.flink.parameters(run.job_id).get("lakehouse.fingerprint") == job.fingerprint:
                log.info(
                    "Flink job %s (%s) is %s with fingerprint %s: nothing to do",
                    job.name,
                    run.job_id,
                    run.state,
                    job.fingerprint,
                )
                return Deployment(job.name, "unchanged", run.job_id, job.fingerprint)
            return self._upgrade(job, run)

    def _upgrade(self, job: FlinkJob, run: FlinkJobRun) -> Deployment:
        log.info("Flink job %s (%s) runs other SQL or options: stopping it with a savepoint", job.name, run.job_id)
        savepoint = self.flink.stop_with_savepoint(run.job_id, job.savepoint_dir, SAVEPOINT_LIMIT_S)
        wait_until(
            lambda: self.flink.live_run(job.name) is None,
            f"end of Flink job {job.name} after its savepoint",
            RUNNING_LIMIT_S,
        )
        return self._start(job, savepoint, action="upgraded")

    def _start(self, job: FlinkJob, state: str | None, action: str | None = None) -> Deployment:
        action = action or ("restored" if state else "started")
        wait_until(lambda: self.flink.free_slots() > 0, "a free Flink task slot", RUNNING_LIMIT_S)
        job_id = self._job_id(job, state)
        log.info("Submitting Flink job %s as %s from %s", job.name, job_id, state or "no state")
        self._submit(job, job_id, state)
        wait_until(
            lambda: self._is_running(job, job_id),
            f"Flink job {job.name} ({job_id}) to be RUNNING",
            RUNNING_LIMIT_S,
            on_timeout=lambda: f"It is {self.flink.state(job_id)}. {self._last_failure(job_id)}",
        )
        return Deployment(job.name, action, job_id, job.fingerprint, state)

    def _submit(self, job: FlinkJob, job_id: str, state: str | None) -> None:
        options = {
            **job.options,
            "pipeline.name": job.name,
            "pipeline.global-job-parameters": f"lakehouse.fingerprint:{job.fingerprint}",
            "$internal.pipeline.job-id": job_id,
            "execution.checkpointing.dir": job.checkpoint_dir,
            **({"execution.state-recovery.path": state} if state else {}),
        }
        with self.gateway.session(options) as session:
            for statement in statements(job.script):
                session.execute(statement, SUBMIT_LIMIT_S)

    def _job_id(self, job: FlinkJob, state: str | None) -> str:
        """The same start gets the same id, so that Flink itself refuses a second submission of it.

        A start without state depends on the table's identity too: an id that has committed to a table must not start
        over on it (apache/iceberg#18098).
        """
        origin = state or str(self.iceberg.table(job.sink).metadata.table_uuid)
        attempt = len(self.flink.runs(job.name))
        return hashlib.md5(f"{job.name}|{job.fingerprint}|{origin}|{attempt}".encode()).hexdigest()

    def _is_running(self, job: FlinkJob, job_id: str) -> bool:
        state = self.flink.state(job_id)
        if state in {"FAILED", "CANCELED"}:
            raise FlinkError(f"Flink job {job.name} ({job_id}) is {state}. {self._last_failure(job_id)}")
        return state == "RUNNING"

    def _last_failure(self, job_id: str) -> str:
        failures = self.flink.exceptions(job_id)
        return failures[0]["stacktrace"][:1000] if failures else ""

    def _state_to_restore(self, job: FlinkJob) -> str | None:
        """The newest complete checkpoint or savepoint; None for a first start.

        :raises AirflowException: there is no state, but the table holds rows
        """
        found = newest_state(job)
        if found:
            return found
        rows = row_count(self.iceberg.table(job.sink)) if self.iceberg.catalog.table_exists(job.sink) else 0
        if rows:
            raise AirflowException(
                f"Flink job {job.name} has no checkpoint or savepoint under {job.state_dir}, but {job.sink} holds {rows:,} rows: "
                "a fresh start would read everything again and double them. Put the state back, or empty the table first."
            )
        return None


def newest_state(job: FlinkJob) -> str | None:
    """Path of the job's newest complete checkpoint or savepoint, whichever cluster wrote it.

    A complete one has a `_metadata` file: Flink writes it last.
    """
    checkpoints = ObjectStoragePath(job.checkpoint_dir).glob("*/chk-*/_metadata")
    savepoints = ObjectStoragePath(job.savepoint_dir).glob("*/_metadata")
    complete = [*checkpoints, *savepoints]
    newest = max(complete, key=lambda file: file.stat().st_mtime, default=None)
    return str(newest.parent) if newest else None
