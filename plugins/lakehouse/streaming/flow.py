"""A stage as its job moves rows through it."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.reconciliation.changes import HistoryLost
from lakehouse.reconciliation.reconcile import Reconciliation, reconcile


@dataclass(frozen=True)
class Flow:
    """The rows that a stage moves."""

    pipeline: Pipeline
    stage: Stage

    @property
    def job(self) -> str:
        return self.stage.job

    def look(self) -> Reconciliation:
        """Source and sinks, compared now.

        :raises ServiceUnavailable: Kafka, the catalog or the warehouse cannot be asked; the message says which
        :raises AirflowException: as `reconcile`
        """
        with IcebergCatalogHook().answering():
            try:
                return reconcile(self.pipeline, self.stage)
            except HistoryLost as error:  # also from scratch: the newest snapshot lacks a file
                raise error.__cause__ or error from error

    def pending(self) -> int:
        """Rows of the source that are in none of the sinks yet. Errors as of `look`."""
        return len(self.look().missing)


def flows_of(pipeline: Pipeline) -> tuple[Flow, ...]:
    """One for each stage of a pipeline."""
    return tuple(Flow(pipeline, stage) for stage in pipeline.stages.values())
