"""What is remembered of a job between runs, in one file beside its state: `<state_dir>/jobs/<name>.json`.

The file holds the last stable SQL as it was rendered. That includes the credentials of the catalog and of Kafka, as Flink's own
job graphs do: the state folder is to be readable by Flink and Airflow alone.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowException
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from lakehouse.storage import stored, write
from lakehouse.streaming.job import FlinkJob, JobState, fingerprint

STARTS_KEPT = 200


class _Remembered(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Commit(_Remembered):
    """The newest commit of a Flink job to a table: everything up to that checkpoint is in the table."""

    table: str
    job_id: str
    checkpoint_id: int


class Start(_Remembered):
    """One submission.

    :param job_id: Flink's id of the run
    :param restored_from: path of the checkpoint or savepoint, None when it began without state
    :param after: without state: what its tables held already, and it was not to write again
    """

    job_id: str
    restored_from: str | None
    after: tuple[Commit, ...] = ()


class Version(_Remembered):
    """SQL and options that a job ran with."""

    script: str
    options: dict[str, str]

    @classmethod
    def of(cls, job: FlinkJob) -> Version:
        return cls(script=job.script, options=dict(job.options))

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.script, self.options)


class RolledBack(_Remembered):
    """An upgrade that was rolled back: it is not tried again until the SQL changes or somebody asks for it.

    :param savepoint: what it started from
    """

    fingerprint: str
    reason: str
    savepoint: str | None


class JobRecord(_Remembered):
    """All that is remembered of one job.

    :param last_stable: what it last ran with and completed a checkpoint
    :param rolled_back: the upgrade since then that failed, if any
    :param starts: submissions, oldest first
    """

    suspended: bool = False
    # The other names are those of version 1.0 of this file.
    last_stable: Version | None = Field(None, validation_alias=AliasChoices("last_stable", "proven"))
    rolled_back: RolledBack | None = Field(None, validation_alias=AliasChoices("rolled_back", "refused"))
    starts: tuple[Start, ...] = ()

    def changed(self, **values: Any) -> JobRecord:
        """The record with other values."""
        return self.model_copy(update=values)

    def starting(self, start: Start) -> JobRecord:
        """The record with one more submission; the same one is kept once."""
        return self if start in self.starts else self.changed(starts=(*self.starts, start)[-STARTS_KEPT:])


def load(job: JobState) -> JobRecord:
    """Read a job's record; an empty one when there is none. A job that was renamed goes on with the record of its old name.

    :raises AirflowException: the file is there but cannot be understood
    """
    for name in job.names:
        path = stored(_address(job.state_dir, name))
        try:
            record = JobRecord.model_validate_json(path.read_bytes())
            if missing := sorted(JobRecord.model_fields.keys() - record.model_fields_set):
                raise ValueError(f"{missing[0]} is missing")
            return record
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise AirflowException(
                f"The record of Flink job {job.name} at {path} is damaged ({_what(error)}). Next: move it away; the job is then "
                "found by its checkpoints and savepoints alone."
            ) from error
    return JobRecord()


def save(job: JobState, record: JobRecord) -> None:
    """Write a job's record in one step, readable by its owner alone where the store has file modes."""
    write(_address(job.state_dir, job.name), record.model_dump_json())


def _what(error: ValueError) -> str:
    """In one line, which part of a record is damaged."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, found["loc"])), found["msg"]]))


def _address(state_dir: str, name: str) -> str:
    return f"{state_dir}/jobs/{name}.json"
