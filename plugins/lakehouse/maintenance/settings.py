"""What maintenance goes by: its operations, its thresholds, and which engine does what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException


class Operation(StrEnum):
    """What can be done to a table, under the names of Iceberg's Spark procedures, in the order of a run."""

    REWRITE_DATA_FILES = "rewrite_data_files"
    REWRITE_MANIFESTS = "rewrite_manifests"
    EXPIRE_SNAPSHOTS = "expire_snapshots"
    REMOVE_ORPHAN_FILES = "remove_orphan_files"


class Engine(StrEnum):
    """Who does it: Flink by a CALL, or pyiceberg in the worker."""

    FLINK = "flink"
    PYICEBERG = "pyiceberg"


#: A younger file may be one that a running job has not committed yet: only a person may go below, for one run.
LEAST_ORPHAN_AGE_S = 86_400


@dataclass(frozen=True)
class Thresholds:
    """What is too much (variable `maintenance_thresholds`), and how far an operation goes.

    :param target_file_bytes: size of the files that a rewrite writes
    :param small_file_percent: a file below that share of the target is small
    :param closed_after_s: a partition is closed when nothing was written to it for so long
    :param open_files: a rewrite of an open partition must save at least so many files
    :param open_rewrite_bytes: of the open partitions, a run rewrites at most so much
    :param delete_files: of an open partition; a closed one is rewritten for the first
    :param manifests: small ones of the current snapshot
    :param snapshots: that could be expired
    :param metadata_bytes: size of the newest metadata file
    :param snapshot_age_s: younger snapshots are kept
    :param retain_last: so many newest snapshots are kept whatever their age
    :param expire_every_s: what could be expired is expired that often, however little it is
    :param orphan_age_s: younger files may be in flight: above the longest stop of a writer
    :param orphan_percent: more of a table's files than that cannot be orphans; something is wrong with the paths
    :param orphans_every_s: how often orphans are looked for
    :param purge_age_s: how long orphans stay in quarantine
    :param state_age_s: how long checkpoints and savepoints of runs that are gone stay
    """

    target_file_bytes: int
    small_file_percent: float
    closed_after_s: float
    open_files: int
    open_rewrite_bytes: int
    delete_files: int
    manifests: int
    snapshots: int
    metadata_bytes: int
    snapshot_age_s: float
    retain_last: int
    expire_every_s: float
    orphan_age_s: float
    orphan_percent: float
    orphans_every_s: float
    purge_age_s: float
    state_age_s: float

    @property
    def small_file_bytes(self) -> float:
        """A file below this size is small."""
        return self.target_file_bytes * self.small_file_percent / 100


def thresholds(overruled: Mapping[str, Any] | None = None) -> Thresholds:
    """The variable `maintenance_thresholds`, but for what is overruled.

    :raises AirflowException: a threshold is unknown or is not a number of 0 or more, or the variable is unsafe
    """
    known = {field.name for field in fields(Thresholds)}
    for name, value in (overruled or {}).items():
        if name not in known:
            raise AirflowException(f"Unknown threshold {name!r}. Next: give one of {', '.join(sorted(known))}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise AirflowException(f"The threshold {name} cannot be {value!r}. Next: give a number, 0 or more.")
    settings = Variable.get("maintenance_thresholds", deserialize_json=True)
    if settings["orphan_age_s"] < LEAST_ORPHAN_AGE_S:
        raise AirflowException(
            f"The variable maintenance_thresholds has orphan_age_s = {settings['orphan_age_s']}: files that a job has not "
            f"committed yet would go. Next: write {LEAST_ORPHAN_AGE_S} or more; where no job writes, overrule it by hand."
        )
    return Thresholds(**{**settings, **(overruled or {})})


def engine_of(operation: Operation) -> Engine:
    """Who does this operation: Flink rewrites; for the others the variable `maintenance_engines` says it.

    :raises AirflowException: the variable names no engine for it
    """
    if operation in (Operation.REWRITE_DATA_FILES, Operation.REWRITE_MANIFESTS):
        return Engine.FLINK
    engines = Variable.get("maintenance_engines", deserialize_json=True)
    try:
        return Engine(engines[operation])
    except (ValueError, KeyError) as error:
        raise AirflowException(
            f"The variable maintenance_engines says {engines.get(operation)!r} of {operation}. Next: write one of "
            f"{', '.join(Engine)}."
        ) from error
