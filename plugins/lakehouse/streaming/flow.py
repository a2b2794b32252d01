"""The flow of rows through a stage, from its source to its sinks."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.reconciliation.reconcile import Reconciliation, reconcile


@dataclass(frozen=True)
class Flow:
    """The flow of rows through one stage."""

    pipeline: Pipeline
    stage: Stage

    @property
    def job(self) -> str:
        return self.stage.job

    def reconcile(self) -> Reconciliation:
        """Reconcile source and sinks now. Errors as in `lakehouse.reconciliation.reconcile`."""
        return reconcile(self.pipeline, self.stage)


def flows_of(pipeline: Pipeline) -> tuple[Flow, ...]:
    """The flows of all stages of a pipeline."""
    return tuple(Flow(pipeline, stage) for stage in pipeline.stages.values())


def flows_to_gold(pipeline: Pipeline) -> tuple[Flow, ...]:
    """The flows of the stages that lead to a pipeline's Gold."""
    return tuple(Flow(pipeline, stage) for stage in pipeline.stages_to_gold)
