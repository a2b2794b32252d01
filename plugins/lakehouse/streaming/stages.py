"""From a declared stage to the Flink job that it stands for."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BeforeValidator

from lakehouse.airflow import variables
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.pipelines.script import stage_script
from lakehouse.streaming.flow import Flow
from lakehouse.streaming.job import FlinkJob, JobState


def _option(value: Any) -> Any:
    """JSON's 1 and true as Flink writes them."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value


Options = dict[str, Annotated[str, BeforeValidator(_option)]]


def job_options() -> dict[str, str]:
    """Configuration of every streaming job, as Flink's own options (variable `flink_job_options`)."""
    return variables.structure("flink_job_options", Options)


def job_state(stage: Stage) -> JobState:
    """Where the state of a stage's job is."""
    return JobState(stage.job, stage.tables, variables.text("flink_state_dir"), stage.renamed_from)


def job_states() -> list[JobState]:
    """Those of every declared stage, also of pipelines that are switched off."""
    return [job_state(stage) for pipeline in declarations().pipelines.values() for stage in pipeline.stages.values()]


def flink_job(pipeline: Pipeline, stage: Stage) -> FlinkJob:
    """A stage's job as its SQL and the settings declare it."""
    return FlinkJob(
        name=stage.job,
        tables=stage.tables,
        state_dir=variables.text("flink_state_dir"),
        renamed_from=stage.renamed_from,
        script=stage_script(pipeline, stage),
        options=job_options(),
        topic_tables=stage.topic_tables,
        pending=Flow(pipeline, stage).pending,
        readers=tuple(flink_job(pipeline, reader) for reader in pipeline.readers(stage)),
    )
