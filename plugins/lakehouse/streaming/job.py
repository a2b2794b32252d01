"""The declaration of a streaming job, and the result of a deployment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lakehouse.pipelines.statements import canonical
from lakehouse.streaming import operator_ids

if TYPE_CHECKING:
    from lakehouse.reconciliation.reconcile import Reconciliation


class Action(StrEnum):
    """What a run of `flink_jobs` does with a job; scheduled runs always `reconcile`."""

    RECONCILE = "reconcile"
    SUSPEND = "suspend"
    RESUME = "resume"
    RESTART = "restart"
    SAVEPOINT = "savepoint"
    START_AFTER_LAST_ROW = "start_after_last_row"


@dataclass(frozen=True)
class JobState:
    """Locations of a job's checkpoints, savepoints and record, and the tables that they must be consistent with.

    :param name: of the job in Flink, and of the folders of its state
    :param tables: the Iceberg tables that it writes
    :param state_dir: URI of the state of all jobs
    :param renamed_from: former name of the job, whose state is used too
    """

    name: str
    tables: tuple[str, ...]
    state_dir: str
    renamed_from: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The current name, and the former one if there is one."""
        return (self.name, self.renamed_from) if self.renamed_from else (self.name,)

    @property
    def checkpoint_dir(self) -> str:
        return f"{self.state_dir}/checkpoints/{self.name}"

    @property
    def savepoint_dir(self) -> str:
        return f"{self.state_dir}/savepoints/{self.name}"


@dataclass(frozen=True)
class FlinkJob(JobState):
    """A streaming job as declared.

    :param script: rendered Flink SQL, including the session set-up; the last statement starts the job
    :param options: Flink options of the job
    :param topic_tables: Flink source table over the topic -> Iceberg table with the partition and offset of its rows
    :param reconcile: reconciles source and tables; returns None if there is nothing to compare
    :param readers: the jobs that read its tables, as declared
    """

    script: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    topic_tables: Mapping[str, str] = field(default_factory=dict)
    reconcile: Callable[[], Reconciliation | None] = lambda: None
    readers: tuple[FlinkJob, ...] = ()

    def pending(self) -> int:
        """Number of rows of the source that are not in the tables yet, but can still arrive. Errors as in `reconcile`."""
        found = self.reconcile()
        return len(found.missing - found.deleted_unread) if found else 0

    @property
    def parallelism(self) -> int:
        """Number of task slots that it needs."""
        return int(self.options.get(operator_ids.PARALLELISM, "1"))

    @property
    def fingerprint(self) -> str:
        """Hash of statements and options; comments and layout do not count."""
        return fingerprint(self.script, self.options)


def fingerprint(script: str, options: Mapping[str, str]) -> str:
    """Hash of a job's SQL and options."""
    declared = json.dumps([canonical(script), sorted(options.items())])
    return hashlib.sha256(declared.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Deployment:
    """What a deployment found and did.

    :param found: state of the job in the cluster before, as text
    :param action: unchanged, left alone, started, restored, restarted, upgraded, re-attached, suspended, stopped or savepoint
    :param restored_from: checkpoint, savepoint or offsets that the job started from
    :param savepoint: path of the savepoint that was taken
    """

    job: str
    found: str
    action: str
    fingerprint: str
    job_id: str | None = None
    restored_from: str | None = None
    savepoint: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
