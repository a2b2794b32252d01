"""What is declared of a streaming job, and what one deployment did about it."""

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
    """What a run of `flink_jobs` is asked to do with a job; only `reconcile` is ever scheduled."""

    RECONCILE = "reconcile"
    SUSPEND = "suspend"
    RESUME = "resume"
    RESTART = "restart"
    SAVEPOINT = "savepoint"
    START_AFTER_LAST_ROW = "start_after_last_row"


@dataclass(frozen=True)
class JobState:
    """Where a job's checkpoints, savepoints and record are, and the tables that they must fit.

    :param name: the job's name in Flink, and that of the folders of its state
    :param tables: the Iceberg tables that it writes
    :param state_dir: URI under which the state of all jobs lives
    :param renamed_from: name that the job had before; its state counts too
    """

    name: str
    tables: tuple[str, ...]
    state_dir: str
    renamed_from: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it goes by, the present one first."""
        return (self.name, self.renamed_from) if self.renamed_from else (self.name,)

    @property
    def checkpoint_dir(self) -> str:
        return f"{self.state_dir}/checkpoints/{self.name}"

    @property
    def savepoint_dir(self) -> str:
        return f"{self.state_dir}/savepoints/{self.name}"


@dataclass(frozen=True)
class FlinkJob(JobState):
    """A streaming job as it should be.

    :param script: rendered Flink SQL, session set-up included; its last statement starts the job
    :param options: Flink options of the job
    :param topic_tables: Flink table over the topic -> Iceberg table that keeps the partition and offset of each of its rows
    :param look: source and tables, compared now; None: there is nothing to compare
    :param readers: the jobs that read its tables, as they should be
    """

    script: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    topic_tables: Mapping[str, str] = field(default_factory=dict)
    look: Callable[[], Reconciliation | None] = lambda: None
    readers: tuple[FlinkJob, ...] = ()

    def pending(self) -> int:
        """Rows of the source that are in none of the tables yet, and can still arrive. Errors as of `look`."""
        found = self.look()
        return len(found.missing - found.deleted_unread) if found else 0

    @property
    def parallelism(self) -> int:
        """How many task slots it takes."""
        return int(self.options.get(operator_ids.PARALLELISM, "1"))

    @property
    def fingerprint(self) -> str:
        """Changes exactly when a statement or an option does: comments and layout do not count."""
        return fingerprint(self.script, self.options)


def fingerprint(script: str, options: Mapping[str, str]) -> str:
    """Of SQL and options that a job runs with."""
    declared = json.dumps([canonical(script), sorted(options.items())])
    return hashlib.sha256(declared.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Deployment:
    """What one deployment found and did.

    :param found: the job's state in the cluster, as text
    :param action: unchanged, started, restored, upgraded, re-attached, suspended, stopped or savepoint
    :param restored_from: path of the checkpoint or savepoint, or the offsets, that the job started from
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
