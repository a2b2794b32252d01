"""What maintenance goes by: its operations, its engines and its thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from airflow.sdk.exceptions import AirflowFailException
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError, field_validator

from lakehouse.airflow import variables
from lakehouse.validation import reasons


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


#: Up to a century, which a date can be reckoned back by.
Seconds = Annotated[float, Field(ge=0, le=100 * 365 * 86_400)]

#: A younger file may be one that a running job has not committed yet: only a person may go below, for one run.
LEAST_ORPHAN_AGE_S = 86_400


class Thresholds(BaseModel):
    """What is too much (variable `maintenance_thresholds`), and how far an operation goes.

    :param target_file_bytes: size of the files that a rewrite writes
    :param small_file_percent: a file below that share of the target is small
    :param closed_after_s: a partition is closed when nothing was written to it for so long
    :param open_files: a rewrite of an open partition must save at least so many files
    :param open_rewrite_bytes: of the open partitions, a run rewrites at most so much, or twice what arrives in an hour if larger
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
    """Those of the variable: for every run, so nothing that harms a writer."""

    @field_validator("orphan_age_s")
    @classmethod
    def _spare_what_is_in_flight(cls, age_s: float) -> float:
        if age_s < LEAST_ORPHAN_AGE_S:
            raise ValueError(
                f"{age_s:g} would take files that a job has not committed yet. Next: write {LEAST_ORPHAN_AGE_S} or more; "
                "where no job writes, override it by hand"
            )
        return age_s


def thresholds(overridden: Mapping[str, Any] | None = None) -> Thresholds:
    """The variable `maintenance_thresholds`, but for what a run overrides.

    :raises AirflowFailException: an overridden threshold is unknown, or is not a number of 0 or more
    :raises VariableError: the variable cannot be used, or is unsafe
    """
    declared = variables.structure("maintenance_thresholds", _Declared)
    overridden = overridden or {}
    if unknown := sorted(set(overridden) - set(Thresholds.model_fields)):
        known = ", ".join(sorted(Thresholds.model_fields))
        raise AirflowFailException(f"Unknown threshold {unknown[0]!r}. Next: give one of {known}")
    try:
        return Thresholds(**{**declared.model_dump(), **overridden})
    except ValidationError as error:
        raise AirflowFailException(f"The threshold {reasons(error)}") from error
