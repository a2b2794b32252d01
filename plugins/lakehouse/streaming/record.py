"""What is remembered of a job between runs, in one file beside its state: `<state_dir>/jobs/<name>.json`.

The file holds the SQL that last proved itself, as it was rendered. That includes the credentials of the catalog and of
Kafka, as Flink's own job graphs do: the state folder is to be readable by Flink and Airflow alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.storage import stored
from lakehouse.streaming.job import FlinkJob

if TYPE_CHECKING:
    from upath import UPath

STARTS_KEPT = 200


@dataclass(frozen=True)
class Commit:
    """The newest commit of a Flink job to a table: everything up to that checkpoint is in the table."""

    table: str
    job_id: str
    checkpoint_id: int


@dataclass(frozen=True)
class Start:
    """One submission.

    :param job_id: Flink's id of the run
    :param restored_from: path of the checkpoint or savepoint, None when it began without state
    :param after: without state: what its tables held already, and it was not to write again
    """

    job_id: str
    restored_from: str | None
    after: tuple[Commit, ...] = ()


@dataclass(frozen=True)
class Version:
    """SQL and options that a job ran with."""

    fingerprint: str
    script: str
    options: dict[str, str]

    @classmethod
    def of(cls, job: FlinkJob) -> Version:
        return cls(job.fingerprint, job.script, dict(job.options))

    def as_job(self, job: FlinkJob) -> FlinkJob:
        """The job with this SQL and these options."""
        return replace(job, script=self.script, options=self.options)


@dataclass(frozen=True)
class Refused:
    """An upgrade that was rolled back: it is not tried again until the SQL changes or somebody asks for it."""

    fingerprint: str
    reason: str
    savepoint: str | None


@dataclass(frozen=True)
class JobRecord:
    """All that is remembered of one job.

    :param proven: what it last ran with and completed a checkpoint
    :param starts: submissions, oldest first
    """

    suspended: bool = False
    proven: Version | None = None
    refused: Refused | None = None
    starts: tuple[Start, ...] = field(default=())

    def starting(self, start: Start) -> JobRecord:
        """The record with one more submission; the same one is kept once."""
        return self if start in self.starts else replace(self, starts=(*self.starts, start)[-STARTS_KEPT:])


def _path(state_dir: str, name: str) -> UPath:
    return stored(f"{state_dir}/jobs/{name}.json")


def load(state_dir: str, name: str) -> JobRecord:
    """Read a job's record; an empty one when there is none.

    :raises AirflowException: the file is there but cannot be understood
    """
    path = _path(state_dir, name)
    try:
        fields = json.loads(path.read_text())
        return JobRecord(
            fields["suspended"],
            fields["proven"] and Version(**fields["proven"]),
            fields["refused"] and Refused(**fields["refused"]),
            tuple(
                Start(**{**start, "after": tuple(Commit(**commit) for commit in start.get("after", ()))})
                for start in fields["starts"]
            ),
        )
    except FileNotFoundError:
        return JobRecord()
    except (ValueError, LookupError, TypeError) as error:
        raise AirflowException(
            f"The record of Flink job {name} at {path} is damaged ({error}). Move it away: the job is then found by its "
            "checkpoints and savepoints alone."
        ) from error


def save(state_dir: str, name: str, record: JobRecord) -> None:
    """Write a job's record in one step, readable by its owner alone where the store has file modes."""
    path = _path(state_dir, name)
    text = json.dumps(asdict(record))
    if path.protocol != "file":
        path.write_text(text)  # an object is there as a whole, or not
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(f"{path.path}.draft")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path.path)
