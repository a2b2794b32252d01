"""The record of a job, stored between runs next to its state: `<state_dir>/jobs/<name>.json`.

The record contains the rendered SQL of the last stable version, including credentials of the catalog and of Kafka, like Flink's
own job graphs: the state folder must be readable by Flink and Airflow only.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowException
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from lakehouse.storage import stored, write
from lakehouse.streaming.job import FlinkJob, JobState, fingerprint

STARTS_KEPT = 200


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Commit(_Stored):
    """The latest commit of a Flink job to a table, which contains everything up to that checkpoint."""

    table: str
    job_id: str
    checkpoint_id: int


class Start(_Stored):
    """One submission of the job.

    :param job_id: Flink's id of the run
    :param restored_from: path of the checkpoint or savepoint; None for a start without state
    :param after: for a start without state, the latest commits to its tables, after which it continues
    """

    job_id: str
    restored_from: str | None
    after: tuple[Commit, ...] = ()


class Version(_Stored):
    """SQL and options of a job."""

    script: str
    options: dict[str, str]

    @classmethod
    def of(cls, job: FlinkJob) -> Version:
        return cls(script=job.script, options=dict(job.options))

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.script, self.options)


class RolledBack(_Stored):
    """An upgrade that was rolled back; it is not tried again until the SQL changes or a person requests it.

    :param savepoint: the state that it started from
    """

    fingerprint: str
    reason: str
    savepoint: str | None


class JobRecord(_Stored):
    """The record of one job.

    :param last_stable: the last version that completed a checkpoint
    :param rolled_back: a later upgrade that failed, if any
    :param starts: submissions, oldest first
    """

    suspended: bool = False
    # The second aliases are the names in version 1.0 of this file.
    last_stable: Version | None = Field(None, validation_alias=AliasChoices("last_stable", "proven"))
    rolled_back: RolledBack | None = Field(None, validation_alias=AliasChoices("rolled_back", "refused"))
    starts: tuple[Start, ...] = ()

    def changed(self, **values: Any) -> JobRecord:
        """A copy with these values changed."""
        return self.model_copy(update=values)

    def starting(self, start: Start) -> JobRecord:
        """A copy with this submission added, unless it is there already."""
        return self if start in self.starts else self.changed(starts=(*self.starts, start)[-STARTS_KEPT:])


def load(job: JobState) -> JobRecord:
    """Read a job's record, or return an empty one. A renamed job uses the record of its former name.

    :raises AirflowException: the file is damaged
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
                f"The record of Flink job {job.name} at {path} is damaged ({_what(error)}). Next: move the file away; the job is "
                "then restored from its checkpoints and savepoints alone."
            ) from error
    return JobRecord()


def save(job: JobState, record: JobRecord) -> None:
    """Write a job's record atomically, readable by its owner alone if the store has file modes."""
    write(_address(job.state_dir, job.name), record.model_dump_json())


def _what(error: ValueError) -> str:
    """Which part of a record is damaged, in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, found["loc"])), found["msg"]]))


def _address(state_dir: str, name: str) -> str:
    return f"{state_dir}/jobs/{name}.json"
