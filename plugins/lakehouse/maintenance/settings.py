"""Operations, engines and thresholds of maintenance."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from airflow.sdk.exceptions import AirflowFailException
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError, field_validator

from lakehouse.airflow import variables
from lakehouse.validation import reasons


class Operation(StrEnum):
    """Operations on a table, named like Iceberg's Spark procedures, in the order of a run."""

    REWRITE_DATA_FILES = "rewrite_data_files"
    REWRITE_MANIFESTS = "rewrite_manifests"
    EXPIRE_SNAPSHOTS = "expire_snapshots"
    REMOVE_ORPHAN_FILES = "remove_orphan_files"


class Engine(StrEnum):
    """What executes an operation: Flink with a CALL, or pyiceberg in the worker."""

    FLINK = "flink"
    PYICEBERG = "pyiceberg"


#: At most a century, so that the resulting date is valid.
Seconds = Annotated[float, Field(ge=0, le=100 * 365 * 86_400)]

#: A younger file may not be committed yet by a running job: only an override for a single run may be lower.
MIN_ORPHAN_AGE_S = 86_400


class Thresholds(BaseModel):
    """When operations are due, and how far they go (variable `maintenance_thresholds`).

    :param target_file_bytes: size of the files that a rewrite writes
    :param small_file_percent: a file below this share of the target size is small
    :param closed_after_s: a partition is closed if nothing was written to it for this long
    :param open_files: a rewrite of an open partition must save at least this many files
    :param open_rewrite_bytes: limit for a run's rewrites of open partitions; twice the inflow of an hour, if that is larger
    :param delete_files: in an open partition; a closed one is rewritten if there is any
    :param manifests: surplus manifests of the current snapshot
    :param snapshots: snapshots that may expire
    :param metadata_bytes: size of the current metadata file
    :param snapshot_age_s: younger snapshots are kept
    :param retain_last: number of latest snapshots that are kept regardless of their age
    :param expire_every_s: snapshots expire at least this often, however few they are
    :param orphan_age_s: younger files may be in flight; must be longer than the longest stop of a writer
    :param orphan_percent: if a larger share of a table's files seems to be orphans, something is wrong with the paths
    :param orphans_every_s: interval between searches for orphans
    :param purge_age_s: how long orphans stay in quarantine
    :param state_age_s: how long checkpoints and savepoints of former runs are kept
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    target_file_bytes: NonNegativeInt
    small_file_percent: NonNegativeFloat
    closed_after_s: Seconds
    open_files: NonNegativeInt
    open_rewrite_bytes: NonNegativeInt
    delete_files: NonNegativeInt
    manifests: NonNegativeInt
    snapshots: NonNegativeInt
    metadata_bytes: NonNegativeInt
    snapshot_age_s: Seconds
    retain_last: NonNegativeInt
    expire_every_s: Seconds
    orphan_age_s: Seconds
    orphan_percent: NonNegativeFloat
    orphans_every_s: Seconds
    purge_age_s: Seconds
    state_age_s: Seconds

    @property
    def small_file_bytes(self) -> float:
        """A file below this size is small."""
        return self.target_file_bytes * self.small_file_percent / 100


class _Declared(Thresholds):
    """The thresholds in the variable: they apply to every run, so they must not harm a writer."""

    @field_validator("orphan_age_s")
    @classmethod
    def _keep_files_in_flight(cls, age_s: float) -> float:
        if age_s < MIN_ORPHAN_AGE_S:
            raise ValueError(
                f"{age_s:g} would remove files that a job has not committed yet. Next: use {MIN_ORPHAN_AGE_S} or more; if no "
                "job is writing, override it for a single run"
            )
        return age_s


def thresholds(overrides: Mapping[str, Any] | None = None) -> Thresholds:
    """The variable `maintenance_thresholds`, with the overrides of a run.

    :raises AirflowFailException: an override is unknown, or is not a number of 0 or more
    :raises VariableError: the variable is invalid or unsafe
    """
    declared = variables.structure("maintenance_thresholds", _Declared)
    overrides = overrides or {}
    if unknown := sorted(set(overrides) - set(Thresholds.model_fields)):
        known = ", ".join(sorted(Thresholds.model_fields))
        raise AirflowFailException(f"Unknown threshold {unknown[0]!r}. Next: choose one of {known}")
    try:
        return Thresholds(**{**declared.model_dump(), **overrides})
    except ValidationError as error:
        raise AirflowFailException(f"The threshold {reasons(error)}") from error
