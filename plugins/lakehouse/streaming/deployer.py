"""Reconciles a job in the cluster with its declaration, from any state, and reports what was found and done.

The process may die after any step: the next run sees from names, fingerprints and the record how far it got, and continues from
there.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.airflow.hooks.flink import FlinkError, FlinkJobRun, FlinkSqlError
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.statements import canonical
from lakehouse.streaming import operator_ids
from lakehouse.streaming import record as records
from lakehouse.streaming.cluster import SAVEPOINT_LIMIT_S, JobCluster, JobFailed, Startup
from lakehouse.streaming.job import Action, Deployment, FlinkJob
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.record import JobRecord, RolledBack, Start, Version
from lakehouse.streaming.restore import checked, last_commits, state_to_restore
from lakehouse.streaming.state import saved_states
from lakehouse.streaming.table_offsets import next_offsets, startup_options
from lakehouse.waiting import wait_until

if TYPE_CHECKING:
    from lakehouse.reconciliation.positions import Positions

log = logging.getLogger(__name__)

READER_LIMIT_S = 240


class JobDeployer:
    """All operations on one job."""

    def __init__(self, job: FlinkJob, topic: str) -> None:
        self.job = job
        self.topic = topic
        self.cluster = JobCluster()
        self.flink = self.cluster.flink
        self.iceberg = IcebergCatalogHook()
        self.record = JobRecord()

    def act(self, action: Action, path: str | None = None) -> Deployment:
        """Perform an action, and return what was found and done. Concurrent calls for the same job wait for each other.

        :param path: for `restart`, the checkpoint or savepoint to start from
        :raises AirflowException: it would duplicate or lose rows; the message says why, and lists the options
        :raises AirflowFailException: the SQL was rejected by Flink or rolled back; a retry would not help
        :raises FlinkError: Flink rejected a request, or is unavailable; the message contains the cause
        :raises TimeoutError: a step did not finish within its limit
        """
        if path and action is not Action.RESTART:
            raise AirflowFailException(f"state_path ({path}) is for the action restart, not for {action}")
        with deployment_lock(self.job.name):
            self.record = records.load(self.job)
            deployment = {
                Action.RECONCILE: self._reconcile,
                Action.SUSPEND: self._suspend,
                Action.RESUME: self._resume,
                Action.RESTART: lambda: self._restart(path),
                Action.SAVEPOINT: self._savepoint,
                Action.START_AFTER_LAST_ROW: self._start_after_last_row,
            }[action]()
        log.info("Flink job %s was %s: %s", deployment.job, deployment.found, deployment)
        return deployment

    def stop(self) -> Deployment:
        """Stop the job with a savepoint because its pipeline is disabled; when it is enabled, the job continues from there."""
        with deployment_lock(self.job.name):
            self.record = records.load(self.job)
            return self._shut_down("stopped")

    def repair(self) -> Deployment:
        """Restore a job that is gone as it last ran, without any changes, because an upstream task has failed.

        :raises AirflowException: it never ran, or cannot be restored; other errors as in `act`
        """
        with deployment_lock(self.job.name):
            self.record = records.load(self.job)
            if run := self.cluster.live_run(self.job):
                return self._deployment(self.job, run, "left alone", run.job_id)
            if self.record.suspended:
                return self._shut_down("suspended")
            if (last := self.record.last_stable) is None:
                raise AirflowException(
                    f"Flink job {self.job.name} never ran, and is not started because a task before this one failed. Next: see "
                    "the log of that task"
                )
            return self._run_as(self._as_before(last))

    def _reconcile(self) -> Deployment:
        if self.record.suspended:
            return self._suspend()
        if self.record.rolled_back and self.record.rolled_back.fingerprint != self.job.fingerprint:
            self._remember(rolled_back=None)
        if self.record.rolled_back and self.record.last_stable:
            self._go_back(self.record.rolled_back, self.record.last_stable)
        try:
            self._check_options()
        except AirflowFailException:
            if last := self.record.last_stable:
                self._run_as(self._as_before(last))
            raise
        return self._run_as(self.job)

    def _check_options(self) -> None:
        """Reject options with which the job could not continue, before anything is stopped.

        :raises AirflowFailException: the cluster has too few slots, or the saved state could not be mapped to the operators
        """
        self.cluster.check_slots(self.job)
        if last := self.record.last_stable:
            operator_ids.check(self.job.name, last.options, self.job.options)

    def _as_before(self, last: Version) -> FlinkJob:
        """The job with the SQL and options of its last stable version."""
        return replace(self.job, script=last.script, options=last.options)

    def _run_as(self, job: FlinkJob) -> Deployment:
        """Make the job run with exactly this SQL: leave it alone, upgrade, restore or start it."""
        run = self.cluster.live_run(job)
        if run and run.name == job.name and self.cluster.fingerprint(run) == job.fingerprint:
            if not self._is_stable(job):
                self._await_stable(job, run.job_id)
                return self._deployment(job, run, "re-attached", run.job_id)
            return self._deployment(job, run, "unchanged", run.job_id)
        if run:
            self.cluster.validate(job)
            self._await_readers(job)
        state = self._stop(run) if run else state_to_restore(job, self.record)
        if run is None:
            self._check_topic(job)
        job_id = self._start(job, state)
        action = "upgraded" if run else "restored" if state else "started"
        return self._deployment(job, run, action, job_id, restored_from=state)

    def _check_topic(self, job: FlinkJob) -> None:
        """Refuse a start that would lose events. If that cannot be checked, the job starts anyway: health reports losses later.

        :raises AirflowException: as in `_refuse_loss`
        """
        if not job.topic_tables:
            return
        try:
            found = job.reconcile()
        except AirflowException as error:
            log.warning("Flink job %s is started without a check of Kafka's first offsets: %s", job.name, error)
            return
        self._refuse_loss(job, found.skipped if found else None)

    def _refuse_loss(self, job: FlinkJob, lost: Positions | None) -> None:
        """Refuse a start that would skip events that Kafka has deleted: Flink would continue at the first retained one.

        :raises AirflowException: there are such events
        """
        if lost:
            pipeline = job.name.partition(".")[0]
            raise AirflowException(
                f"Flink job {job.name} is not started: Kafka topic {self.topic} no longer has {len(lost):,} events that are in "
                f"none of {', '.join(job.tables)} ({lost}), and a start would skip them. Next: restore the topic; or acknowledge "
                f"the loss (make acknowledge-loss PIPELINE={pipeline}), and the next run of flink_jobs starts the job"
            )

    def _await_readers(self, job: FlinkJob) -> None:
        """Wait until no job that reads the tables runs its old SQL, which would ignore new columns.

        :raises AirflowException: one still does after the limit; this job keeps running as it is
        """
        last_stable = self.record.last_stable
        if last_stable and canonical(last_stable.script) == canonical(job.script):  # only options changed, no column
            return
        for reader in job.readers:
            try:
                wait_until(
                    partial(self._is_upgraded, reader),
                    f"Flink job {reader.name} to run as it is declared",
                    READER_LIMIT_S,
                )
            except TimeoutError as error:
                raise AirflowException(
                    f"Flink job {job.name} keeps its old SQL until {reader.name}, which reads its tables, is upgraded. Next: see "
                    f"the task that deploys {reader.name}. {error}"
                ) from error

    def _is_upgraded(self, reader: FlinkJob) -> bool:
        """Whether a job is not running with other SQL than the declared one."""
        run = self.cluster.live_run(reader)
        return run is None or self.cluster.fingerprint(run) == reader.fingerprint

    def _suspend(self) -> Deployment:
        self._remember(suspended=True)
        return self._shut_down("suspended")

    def _shut_down(self, action: str) -> Deployment:
        """Stop the job if it is running, and report the state that it will continue from."""
        run = self.cluster.live_run(self.job)
        savepoint = self._stop(run) if run else next((state.path for state in saved_states(self.job)), None)
        return self._deployment(self.job, run, action, savepoint=savepoint)

    def _resume(self) -> Deployment:
        self._remember(suspended=False)
        return self._reconcile()

    def _restart(self, path: str | None) -> Deployment:
        if path:
            checked(self.job, self.record, path)
        self._check_options()
        self.cluster.validate(self.job)
        if (run := self.cluster.live_run(self.job)) is None:
            self._check_topic(self.job)
        self._remember(suspended=False, rolled_back=None)
        newest = self._stop(run) if run else None
        try:
            # Checked again: the path may be too old by now, because the job has committed meanwhile.
            state = checked(self.job, self.record, path) if path else newest or state_to_restore(self.job, self.record)
        except AirflowException:
            if newest:
                self._start(self.job, newest)
            raise
        return self._deployment(self.job, run, "restarted", self._start(self.job, state), restored_from=state)

    def _savepoint(self) -> Deployment:
        run = self.cluster.live_run(self.job)
        if run is None:
            raise AirflowFailException(f"Flink job {self.job.name} is not running, so no savepoint can be taken")
        path = self.flink.savepoint(run.job_id, self.job.savepoint_dir, SAVEPOINT_LIMIT_S)
        return self._deployment(self.job, run, "savepoint", run.job_id, savepoint=path)

    def _start_after_last_row(self) -> Deployment:
        job = self.job
        if not job.topic_tables:
            raise AirflowFailException(
                f"The tables of Flink job {job.name} do not contain their position in its source. Next: use the DAG replay"
            )
        if run := self.cluster.live_run(job):
            raise AirflowFailException(
                f"Flink job {job.name} ({run.job_id}) is {run.state}: start_after_last_row is only for a job that is gone"
            )
        self.cluster.validate(job)
        self._refuse_loss(job, found.deleted_unread if (found := job.reconcile()) else None)
        self._remember(suspended=False, rolled_back=None)
        offsets = next_offsets(TopicHook(self.topic), job.topic_tables)
        startup = {source: startup_options(found) for source, found in offsets.items()}
        job_id = self._start(job, None, startup)
        return self._deployment(job, None, "started", job_id, restored_from=json.dumps(offsets))

    def _stop(self, run: FlinkJobRun) -> str:
        """Stop the job with a savepoint, or if none can be taken, at its last checkpoint; return the path.

        :raises AirflowException: there is neither; the job keeps running
        """
        try:
            return self.cluster.stop(self.job, run)
        except (FlinkError, TimeoutError) as error:
            log.warning("%s. The last checkpoint of the job is used instead.", error)
        if (state := state_to_restore(self.job, self.record)) is None:
            raise AirflowException(
                f"Flink job {self.job.name} has no checkpoint yet to continue from: it is left as it is"
            )
        self.cluster.cancel(self.job)
        return state_to_restore(self.job, self.record) or state  # another one may have been completed meanwhile

    def _start(self, job: FlinkJob, state: str | None, startup: Startup | None = None) -> str:
        """Start the job and return its id. If new SQL does not become stable, the last stable version is restored."""
        job_id = self._job_id(job, state)
        self._save(
            self.record.starting(
                Start(job_id=job_id, restored_from=state, after=() if state else tuple(last_commits(job)))
            )
        )
        try:
            self.cluster.submit(job, job_id, state, startup or {})
        except (JobFailed, FlinkSqlError, TimeoutError) as error:
            if self.record.last_stable is None or self._is_stable(job):
                raise
            self._roll_back(job, job_id, self.record.last_stable, error)
        self._await_stable(job, job_id)
        return job_id

    def _await_stable(self, job: FlinkJob, job_id: str) -> None:
        """Watch new SQL until its first checkpoint and commit; the very first version is not: it cannot be rolled back."""
        if self._is_stable(job):
            return
        if self.record.last_stable:
            try:
                self.cluster.await_stable(job, job_id)
            except (JobFailed, TimeoutError) as error:
                self._roll_back(job, job_id, self.record.last_stable, error)
        self._remember(last_stable=Version.of(job))

    def _is_stable(self, job: FlinkJob) -> bool:
        return bool(self.record.last_stable and self.record.last_stable.fingerprint == job.fingerprint)

    def _roll_back(self, job: FlinkJob, job_id: str, last_stable: Version, error: Exception) -> NoReturn:
        """Record that the new SQL failed, and roll back; unless the cluster or the catalog is down, which is not its fault."""
        if not self.flink.task_managers():
            raise error
        last_commits(job)
        log.error("Flink job %s: the new SQL did not become stable, rolling back. %s", job.name, error)
        origin = next((start.restored_from for start in self.record.starts if start.job_id == job_id), None)
        failed = RolledBack(fingerprint=job.fingerprint, reason=str(error)[:2000], savepoint=origin)
        self._remember(rolled_back=failed)
        self._go_back(failed, last_stable)

    def _go_back(self, failed: RolledBack, last_stable: Version) -> NoReturn:
        """Restore the last stable version, from the state that the failed one started from, and fail."""
        run = self.cluster.live_run(self.job)
        if run and self.cluster.fingerprint(run) == failed.fingerprint:
            self.cluster.cancel(self.job)
        self._run_as(self._as_before(last_stable))
        raise AirflowFailException(_rolled_back(self.job, failed))

    def _job_id(self, job: FlinkJob, state: str | None) -> str:
        """The same start gets the same id, so that Flink itself rejects a second submission.

        For a start without state, the id depends on the tables' snapshots: an id that has committed to a table must not be used
        for a fresh start on it (apache/iceberg#18098).
        """
        origin = state or [self._identity(table) for table in job.tables]
        attempt = len(self.flink.runs(job.name))
        return hashlib.md5(
            f"{job.name}|{job.fingerprint}|{origin}|{attempt}".encode(), usedforsecurity=False
        ).hexdigest()

    def _identity(self, table: str) -> str:
        metadata = self.iceberg.table(table).metadata
        return f"{metadata.table_uuid}@{metadata.current_snapshot_id}"

    def _deployment(
        self, job: FlinkJob, run: FlinkJobRun | None, action: str, job_id: str | None = None, **more: Any
    ) -> Deployment:
        found = f"{run.state} ({run.job_id})" if run else "not running"
        return Deployment(job.name, found, action, job.fingerprint, job_id, **more)

    def _remember(self, **changes: object) -> None:
        self._save(self.record.changed(**changes))

    def _save(self, record: JobRecord) -> None:
        if record != self.record:
            records.save(self.job, record)
            self.record = record


def _rolled_back(job: FlinkJob, failed: RolledBack) -> str:
    return (
        f"New SQL or options of Flink job {job.name} (fingerprint {failed.fingerprint}) failed, and the job was rolled back: it "
        f"runs as before. {failed.reason}. Next: fix the SQL; or trigger flink_jobs with action restart to try the same again."
    )
