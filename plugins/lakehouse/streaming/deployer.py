"""Brings the cluster to what a `FlinkJob` declares, from whatever it finds, and says what it found, decided and did.

Every step may be the last one of a process that dies: the next run sees by name, fingerprint and record how far it got,
and goes on from there.
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
    """All that can be done to one job."""

    def __init__(self, job: FlinkJob, topic: str) -> None:
        self.job = job
        self.topic = topic
        self.cluster = JobCluster()
        self.flink = self.cluster.flink
        self.iceberg = IcebergCatalogHook()
        self.record = JobRecord()

    def act(self, action: Action, path: str | None = None) -> Deployment:
        """Do what is asked, and return what was found and done. Two at once, for one job, wait for each other.

        :param path: of `restart`: the checkpoint or savepoint to start from
        :raises AirflowException: it would write rows again or lose some; the message says why, and lists the options
        :raises AirflowFailException: the SQL was rejected by Flink or rolled back; trying again changes nothing
        :raises FlinkError: Flink refused, or is not there; the message carries its cause
        :raises TimeoutError: a step did not end within its limit
        """
        if path and action is not Action.RESTART:
            raise AirflowFailException(f"state_path ({path}) is for the action restart, not for {action}")
        with deployment_lock(self.job.name):
            self.record = records.load(self.job)
            done = {
                Action.RECONCILE: self._reconcile,
                Action.SUSPEND: self._suspend,
                Action.RESUME: self._resume,
                Action.RESTART: lambda: self._restart(path),
                Action.SAVEPOINT: self._savepoint,
                Action.START_AFTER_LAST_ROW: self._start_after_last_row,
            }[action]()
        log.info("Flink job %s was %s: %s", done.job, done.found, done)
        return done

    def stop(self) -> Deployment:
        """Stop the job with a savepoint, because its pipeline is switched off; switched on again, it goes on from there."""
        with deployment_lock(self.job.name):
            self.record = records.load(self.job)
            return self._take_down("stopped")

    def repair(self) -> Deployment:
        """Bring a job that is gone back as it last ran. Nothing new is tried, because something that it needs has failed.

        :raises AirflowException: it never ran, or cannot be restored; errors otherwise as of `act`
        """
        with deployment_lock(self.job.name):
            self.record = records.load(self.job)
            if run := self.cluster.live_run(self.job):
                return self._done(self.job, run, "left alone", run.job_id)
            if self.record.suspended:
                return self._take_down("suspended")
            if (last := self.record.last_stable) is None:
                raise AirflowException(
                    f"Flink job {self.job.name} is not started for the first time before all that it needs is there. Next: see "
                    "the tasks before this one"
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
        """Refuse, before anything stops, options that the job cannot go on with.

        :raises AirflowFailException: more parallelism than the cluster has slots, or ids that its state is not found by
        """
        self.cluster.check_slots(self.job)
        if last := self.record.last_stable:
            operator_ids.check(self.job.name, last.options, self.job.options)

    def _as_before(self, last: Version) -> FlinkJob:
        """The job with the SQL and options that it last ran with."""
        return replace(self.job, script=last.script, options=last.options)

    def _run_as(self, job: FlinkJob) -> Deployment:
        """Have the job run with exactly this SQL: left alone, upgraded, restored or started."""
        run = self.cluster.live_run(job)
        if run and run.name == job.name and self.cluster.fingerprint(run) == job.fingerprint:
            if not self._is_stable(job):
                self._stabilise(job, run.job_id)
                return self._done(job, run, "re-attached", run.job_id)
            return self._done(job, run, "unchanged", run.job_id)
        if run:
            self.cluster.validate(job)
            self._await_readers(job)
        state = self._stop(run) if run else state_to_restore(job, self.record)
        if run is None:
            self._compare_with_topic(job)
        job_id = self._start(job, state)
        action = "upgraded" if run else "restored" if state else "started"
        return self._done(job, run, action, job_id, restored_from=state)

    def _compare_with_topic(self, job: FlinkJob) -> None:
        """Refuse a start that would lose events. That nobody can look holds no job back: health sees afterwards what is lost.

        :raises AirflowException: as of `_refuse_loss`
        """
        if not job.topic_tables:
            return
        try:
            found = job.look()
        except AirflowException as error:
            log.warning("Flink job %s is started without a look at Kafka's first offsets: %s", job.name, error)
            return
        self._refuse_loss(job, found.passed_over if found else None)

    def _refuse_loss(self, job: FlinkJob, lost: Positions | None) -> None:
        """Refuse a start that would pass over events: Flink goes on at the first one that Kafka still holds.

        :raises AirflowException: names them
        """
        if lost:
            pipeline = job.name.partition(".")[0]
            raise AirflowException(
                f"Flink job {job.name} is not started: Kafka topic {self.topic} no longer holds {len(lost):,} events that are in "
                f"none of {', '.join(job.tables)} ({lost}), and a start would pass over them. Next: restore the topic; or take "
                f"them for lost (make acknowledge-loss PIPELINE={pipeline}), and the next run of flink_jobs starts the job"
            )

    def _await_readers(self, job: FlinkJob) -> None:
        """Wait until the jobs that read the tables have left their old SQL, which would pass over new columns.

        :raises AirflowException: it does not come to that; the job goes on as it is
        """
        last_stable = self.record.last_stable
        if last_stable and canonical(last_stable.script) == canonical(job.script):  # other options hide no column
            return
        for reader in job.readers:
            try:
                wait_until(
                    partial(self._has_left, reader),
                    f"Flink job {reader.name} to run as it is declared",
                    READER_LIMIT_S,
                )
            except TimeoutError as error:
                raise AirflowException(
                    f"Flink job {job.name} goes on with its old SQL until {reader.name}, which reads its tables, has left its "
                    f"own: see the task that deploys {reader.name}. {error}"
                ) from error

    def _has_left(self, reader: FlinkJob) -> bool:
        """Whether no run of a job is of other SQL than the declared one."""
        run = self.cluster.live_run(reader)
        return run is None or self.cluster.fingerprint(run) == reader.fingerprint

    def _suspend(self) -> Deployment:
        self._remember(suspended=True)
        return self._take_down("suspended")

    def _take_down(self, action: str) -> Deployment:
        """Stop the job where it runs, and name the state that it goes on from."""
        run = self.cluster.live_run(self.job)
        savepoint = self._stop(run) if run else next((state.path for state in saved_states(self.job)), None)
        return self._done(self.job, run, action, savepoint=savepoint)

    def _resume(self) -> Deployment:
        self._remember(suspended=False)
        return self._reconcile()

    def _restart(self, path: str | None) -> Deployment:
        if path:
            checked(self.job, self.record, path)
        self._check_options()
        self.cluster.validate(self.job)
        if (run := self.cluster.live_run(self.job)) is None:
            self._compare_with_topic(self.job)
        self._remember(suspended=False, rolled_back=None)
        newest = self._stop(run) if run else None
        try:
            # Checked again: what the job has committed meanwhile may have made the path too old.
            state = checked(self.job, self.record, path) if path else newest or state_to_restore(self.job, self.record)
        except AirflowException:
            if newest:
                self._start(self.job, newest)
            raise
        return self._done(self.job, run, "restarted", self._start(self.job, state), restored_from=state)

    def _savepoint(self) -> Deployment:
        run = self.cluster.live_run(self.job)
        if run is None:
            raise AirflowFailException(
                f"Flink job {self.job.name} does not run: there is nothing to take a savepoint of"
            )
        path = self.flink.savepoint(run.job_id, self.job.savepoint_dir, SAVEPOINT_LIMIT_S)
        return self._done(self.job, run, "savepoint", run.job_id, savepoint=path)

    def _start_after_last_row(self) -> Deployment:
        job = self.job
        if not job.topic_tables:
            raise AirflowFailException(
                f"The tables of Flink job {job.name} do not say how far in its source they are: use the DAG replay"
            )
        if run := self.cluster.live_run(job):
            raise AirflowFailException(
                f"Flink job {job.name} ({run.job_id}) is {run.state}: only a job that is not there can start from its tables"
            )
        self.cluster.validate(job)
        self._refuse_loss(job, found.deleted_unread if (found := job.look()) else None)
        self._remember(suspended=False, rolled_back=None)
        offsets = next_offsets(TopicHook(self.topic), job.topic_tables)
        startup = {source: startup_options(found) for source, found in offsets.items()}
        job_id = self._start(job, None, startup)
        return self._done(job, None, "started", job_id, restored_from=json.dumps(offsets))

    def _stop(self, run: FlinkJobRun) -> str:
        """Stop the job with a savepoint, or when none can be taken, at its last checkpoint; return the path.

        :raises AirflowException: there is neither; the job goes on
        """
        try:
            return self.cluster.stop(self.job, run)
        except (FlinkError, TimeoutError) as error:
            log.warning("%s. The last checkpoint of the job serves instead.", error)
        if (state := state_to_restore(self.job, self.record)) is None:
            raise AirflowException(
                f"Flink job {self.job.name} has no checkpoint yet to go on from: it is left as it is"
            )
        self.cluster.cancel(self.job)
        return state_to_restore(self.job, self.record) or state  # one more may have been completed meanwhile

    def _start(self, job: FlinkJob, state: str | None, startup: Startup | None = None) -> str:
        """Start the job and return its id. SQL that is new to it must become stable, or what ran before comes back."""
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
        self._stabilise(job, job_id)
        return job_id

    def _stabilise(self, job: FlinkJob, job_id: str) -> None:
        """Watch new SQL until its first checkpoint and commit; the very first SQL has nothing to go back to."""
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
        """Remember that the new SQL failed, and go back. That the cluster or the catalog is away says nothing against it."""
        if not self.flink.task_managers():
            raise error
        last_commits(job)
        log.error("Flink job %s: the new SQL is not stable, the one before comes back. %s", job.name, error)
        origin = next((start.restored_from for start in self.record.starts if start.job_id == job_id), None)
        failed = RolledBack(fingerprint=job.fingerprint, reason=str(error)[:2000], savepoint=origin)
        self._remember(rolled_back=failed)
        self._go_back(failed, last_stable)

    def _go_back(self, failed: RolledBack, last_stable: Version) -> NoReturn:
        """Bring the last stable SQL back, from the state that the failed one started from, and fail."""
        run = self.cluster.live_run(self.job)
        if run and self.cluster.fingerprint(run) == failed.fingerprint:
            self.cluster.cancel(self.job)
        self._run_as(self._as_before(last_stable))
        raise AirflowFailException(_rolled_back(self.job, failed))

    def _job_id(self, job: FlinkJob, state: str | None) -> str:
        """The same start gets the same id, so that Flink itself refuses a second submission of it.

        A start without state depends on what its tables hold: an id that has committed to a table must not start over
        on it (apache/iceberg#18098).
        """
        origin = state or [self._identity(table) for table in job.tables]
        attempt = len(self.flink.runs(job.name))
        return hashlib.md5(
            f"{job.name}|{job.fingerprint}|{origin}|{attempt}".encode(), usedforsecurity=False
        ).hexdigest()

    def _identity(self, table: str) -> str:
        metadata = self.iceberg.table(table).metadata
        return f"{metadata.table_uuid}@{metadata.current_snapshot_id}"

    def _done(
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
        f"New SQL or options of Flink job {job.name} (fingerprint {failed.fingerprint}) failed, and the job was rolled back: "
        f"it runs as before. {failed.reason} Fix the SQL; or trigger flink_jobs by hand with action restart to try "
        "the same again."
    )
