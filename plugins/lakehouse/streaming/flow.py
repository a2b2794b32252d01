"""A stage as its job moves rows through it."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse.pipelines.model import Pipeline, Stage
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
        """Source and sinks, compared now. Errors as of `reconcile`."""
        return reconcile(self.pipeline, self.stage)


def flows_of(pipeline: Pipeline) -> tuple[Flow, ...]:
    """One for each stage of a pipeline."""
    return tuple(Flow(pipeline, stage) for stage in pipeline.stages.values())
