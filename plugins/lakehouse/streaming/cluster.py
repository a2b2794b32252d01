"""Operations on a job in the Flink cluster: plan, submit, watch, stop. Decisions are made elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.flink import FlinkError, FlinkJobRun, FlinkRestHook, FlinkUnavailable, SqlGatewayHook
from lakehouse.pipelines.statements import statements
from lakehouse.streaming.job import FlinkJob, JobState
from lakehouse.streaming.restore import last_commits
from lakehouse.waiting import wait_until

log = logging.getLogger(__name__)

FINGERPRINT = "lakehouse.fingerprint"
SUBMIT_LIMIT_S = 180
RUNNING_LIMIT_S = 120
SAVEPOINT_LIMIT_S = 300
CHECKPOINT_LIMIT_S = 60
STABLE_LIMIT_S = 180
FAILURES_ALLOWED = 3
# Flink's messages about state that changed SQL can no longer read.
INCOMPATIBLE_STATE = ("Cannot map checkpoint/savepoint state", "StateMigrationException", "allowNonRestoredState")

Startup = Mapping[str, Mapping[str, str]]  # Flink table -> options of its connector


class JobFailed(FlinkError):
    """The job itself failed because of its SQL, state or data, not because of the cluster."""


class JobCluster:
    """The Flink cluster, as far as it is about a job."""

    def __init__(self) -> None:
        self.flink = FlinkRestHook()
        self.gateway = SqlGatewayHook()

    def fingerprint(self, run: FlinkJobRun) -> str | None:
        """Fingerprint of the SQL and options that a run was submitted with."""
        return self.flink.parameters(run.job_id).get(FINGERPRINT)

    def check_slots(self, job: FlinkJob) -> None:
        """Check that the cluster has enough slots for the job's parallelism, free or not.

        :raises AirflowFailException: it has not; the message has both numbers
        """
        if 0 < (slots := self.flink.slots()) < job.parallelism:
            raise AirflowFailException(
                f"Flink job {job.name} has parallelism {job.parallelism} (parallelism.default in the variable "
                f"flink_job_options), but the cluster has {slots} task slots. Next: lower it, or add slots "
                "(taskmanager.numberOfTaskSlots in flink/config.yaml, or more TaskManagers)"
            )

    def validate(self, job: FlinkJob) -> None:
        """Check that Flink can plan the SQL.

        :raises AirflowFailException: it cannot
        """
        *set_up, job_statement = statements(job.script)
        try:
            with self.gateway.session(job.options) as session:
                for statement in set_up:
                    session.execute(statement, SUBMIT_LIMIT_S)
                session.execute(f"EXPLAIN {job_statement.removeprefix('EXECUTE ')}", SUBMIT_LIMIT_S)
        except FlinkUnavailable:
            raise
        except FlinkError as error:
            raise AirflowFailException(
                f"Flink rejects the SQL of job {job.name}; the running job is not affected. {error}"
            ) from error

    def submit(self, job: FlinkJob, job_id: str, state: str | None, startup: Startup) -> None:
        """Submit the job with this id, and wait until it is RUNNING.

        Submitting the same id again is harmless: Flink accepts it once.

        :raises JobFailed: it terminated instead
        """
        wait_until(
            lambda: self.flink.free_slots() >= job.parallelism,
            f"{job.parallelism} free Flink task slots for job {job.name}",
            RUNNING_LIMIT_S,
        )
        log.info("Submitting Flink job %s as %s from %s", job.name, job_id, state or startup or "no state")
        options = {
            **job.options,
            "pipeline.name": job.name,
            "pipeline.global-job-parameters": f"{FINGERPRINT}:{job.fingerprint}",
            "$internal.pipeline.job-id": job_id,
            "execution.checkpointing.dir": job.checkpoint_dir,
            **({"execution.state-recovery.path": state} if state else {}),
        }
        *set_up, job_statement = statements(job.script)
        try:
            with self.gateway.session(options) as session:
                for statement in (*set_up, *_alter_sources(startup), job_statement):
                    session.execute(statement, SUBMIT_LIMIT_S)
        except FlinkError:
            if job_id not in [run.job_id for run in self.flink.runs(job.name)]:
                raise
            log.info("Flink already has the job: an earlier submission succeeded")
        wait_until(
            lambda: self._is_running(job, job_id),
            f"Flink job {job.name} ({job_id}) to be RUNNING",
            RUNNING_LIMIT_S,
            on_timeout=lambda: self._failures(job_id),
        )

    def await_stable(self, job: FlinkJob, job_id: str) -> None:
        """Wait for the first checkpoint of a run, and for its first commit if there are rows to commit.

        :raises JobFailed, TimeoutError: the run did not become stable
        """
        wait_until(
            lambda: self._has_checkpoint(job, job_id),
            f"first checkpoint of Flink job {job.name} ({job_id})",
            STABLE_LIMIT_S,
            on_timeout=lambda: self._failures(job_id),
        )
        wait_until(
            lambda: any(commit.job_id == job_id for commit in last_commits(job)) or not job.pending(),
            f"first commit of Flink job {job.name} ({job_id}) to {' or '.join(job.tables)}",
            STABLE_LIMIT_S,
            on_timeout=lambda: self._failures(job_id),
        )

    def live_run(self, job: JobState) -> FlinkJobRun | None:
        """The run of a job that has not ended, under its current or former name."""
        return next((run for run in self.flink.all_runs() if run.live and run.name in job.names), None)

    def stop(self, job: JobState, run: FlinkJobRun) -> str:
        """Stop a run with a savepoint in the job's folder, and return its path.

        :param run: of the job itself, or of a replay's job that built its tables
        :raises FlinkError, TimeoutError: no savepoint could be taken; the job may keep running
        """
        log.info("Flink job %s (%s, %s): stopping it with a savepoint", run.name, run.job_id, run.state)
        savepoint = self.flink.stop_with_savepoint(run.job_id, job.savepoint_dir, SAVEPOINT_LIMIT_S)
        self._await_end(run.name)
        return savepoint

    def cancel(self, job: JobState) -> None:
        """Cancel the job if it is running, without a savepoint; its retained checkpoints are kept."""
        if run := self.live_run(job):
            self.flink.cancel(run.job_id)
            self._await_end(run.name)

    def _await_end(self, name: str) -> None:
        wait_until(lambda: self.flink.live_run(name) is None, f"end of Flink job {name}", RUNNING_LIMIT_S)

    def _is_running(self, job: FlinkJob, job_id: str) -> bool:
        run = next((run for run in self.flink.runs(job.name) if run.job_id == job_id), None)
        if run is None:
            raise FlinkUnavailable(f"Flink no longer knows job {job.name} ({job_id}): its JobManager was restarted")
        if run.live:
            return run.state == "RUNNING"
        cause = self._failures(job_id)
        hint = (
            " The saved state is not compatible with this SQL; nothing was lost. Next: undo the change, or rebuild the tables "
            "with the DAG replay."
        )
        incompatible = any(text in cause for text in INCOMPATIBLE_STATE)
        raise JobFailed(f"Flink job {job.name} ({job_id}) is {run.state}. {cause}{hint if incompatible else ''}")

    def _has_checkpoint(self, job: FlinkJob, job_id: str) -> bool:
        if len(failures := self.flink.failures(job_id)) >= FAILURES_ALLOWED:
            raise JobFailed(f"Flink job {job.name} ({job_id}) keeps failing: {failures[0]}")
        if not self._is_running(job, job_id):
            return False
        try:
            if not self.flink.checkpoints(job_id)["counts"]["completed"]:
                self.flink.checkpoint(job_id, CHECKPOINT_LIMIT_S)
        except FlinkError as error:  # a job that is only just starting does not answer
            log.info("Flink job %s (%s): no checkpoint yet: %s", job.name, job_id, error)
            return False
        return True

    def _failures(self, job_id: str) -> str:
        return "; ".join(dict.fromkeys(self.flink.failures(job_id))) or "Flink reports no cause"


def _alter_sources(startup: Startup) -> list[str]:
    """Statements that override the start positions of the job's sources."""
    options = {
        table: ", ".join(f"'{name}' = '{value}'" for name, value in given.items()) for table, given in startup.items()
    }
    return [f"ALTER TABLE {table} SET ({given})" for table, given in options.items()]
