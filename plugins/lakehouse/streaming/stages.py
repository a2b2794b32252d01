"""Creates the Flink job of a declared stage."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from lakehouse.airflow import variables
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.pipelines.script import stage_script
from lakehouse.streaming import operator_ids
from lakehouse.streaming import record as records
from lakehouse.streaming.flow import Flow
from lakehouse.streaming.job import FlinkJob, JobState


def _option(value: Any) -> Any:
    """JSON numbers and booleans as Flink writes them."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _parallelism(options: dict[str, str]) -> dict[str, str]:
    if not (given := options.get(operator_ids.PARALLELISM, "1")).isdecimal() or not int(given):
        raise ValueError(f"{operator_ids.PARALLELISM} is {given}: it must be a whole number above 0. Next: correct it")
    return options


Options = Annotated[dict[str, Annotated[str, BeforeValidator(_option)]], AfterValidator(_parallelism)]


def job_options() -> dict[str, str]:
    """Flink options of every new streaming job (variable `flink_job_options`)."""
    return operator_ids.STABLE | variables.structure("flink_job_options", Options)


def job_state(stage: Stage) -> JobState:
    """Locations of the state of a stage's job."""
    return JobState(stage.job, stage.tables, variables.text("flink_state_dir"), stage.renamed_from)


def job_states() -> list[JobState]:
    """The same for every declared stage, including those of disabled pipelines."""
    return [job_state(stage) for pipeline in declarations().pipelines.values() for stage in pipeline.stages.values()]


def flink_job(pipeline: Pipeline, stage: Stage) -> FlinkJob:
    """A stage's job as its SQL and the settings declare it; a job that was started with other operator ids keeps them."""
    last_stable = records.load(job_state(stage)).last_stable
    return FlinkJob(
        name=stage.job,
        tables=stage.tables,
        state_dir=variables.text("flink_state_dir"),
        renamed_from=stage.renamed_from,
        script=stage_script(pipeline, stage),
        options=operator_ids.kept(job_options(), last_stable.options if last_stable else None),
        topic_tables=stage.topic_tables,
        reconcile=Flow(pipeline, stage).reconcile,
        readers=tuple(flink_job(pipeline, reader) for reader in pipeline.readers(stage)),
    )
