"""What is declared of a streaming job, and what one deployment did about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What a run of `flink_jobs` is asked to do with a job; only `reconcile` is ever scheduled."""

    RECONCILE = "reconcile"
    SUSPEND = "suspend"
    RESUME = "resume"
    RESTART = "restart"
    SAVEPOINT = "savepoint"
    START_AFTER_LAST_ROW = "start_after_last_row"


@dataclass(frozen=True)
class FlinkJob:
    """A streaming job as it should be.

    :param name: the job's name in Flink, and the folder of its state
    :param script: rendered Flink SQL, session set-up included; its last statement starts the job
    :param tables: the Iceberg tables that it writes
    :param state_dir: URI under which checkpoints, savepoints and the job's record live
    :param options: Flink options of the job
    :param kafka_sources: Flink table over the topic -> Iceberg table that keeps the partition and offset of each of its rows
    :param pending: rows of the source that are in none of the tables yet
    :param reader: the job that reads the tables, as it should be
    """

    name: str
    script: str
    tables: tuple[str, ...]
    state_dir: str
    options: Mapping[str, str] = field(default_factory=dict)
    kafka_sources: Mapping[str, str] = field(default_factory=dict)
    pending: Callable[[], int] = lambda: 0
    reader: FlinkJob | None = None

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

    :param found: the job's state in the cluster, in words
    :param action: unchanged, started, restored, upgraded, re-attached, suspended or savepoint
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
