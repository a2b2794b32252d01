"""From a declared stage to the Flink job that it stands for."""

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
    """JSON's 1 and true as Flink writes them."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _parallelism(options: dict[str, str]) -> dict[str, str]:
    if not (given := options.get(operator_ids.PARALLELISM, "1")).isdecimal() or not int(given):
        raise ValueError(f"{operator_ids.PARALLELISM} is {given}: it must be a whole number above 0")
    return options


Options = Annotated[dict[str, Annotated[str, BeforeValidator(_option)]], AfterValidator(_parallelism)]


def job_options() -> dict[str, str]:
    """Configuration of every new streaming job, as Flink's own options (variable `flink_job_options`)."""
    return operator_ids.STABLE | variables.structure("flink_job_options", Options)


def job_state(stage: Stage) -> JobState:
    """Where the state of a stage's job is."""
    return JobState(stage.job, stage.tables, variables.text("flink_state_dir"), stage.renamed_from)


def job_states() -> list[JobState]:
    """Those of every declared stage, also of pipelines that are switched off."""
    return [job_state(stage) for pipeline in declarations().pipelines.values() for stage in pipeline.stages.values()]


def flink_job(pipeline: Pipeline, stage: Stage) -> FlinkJob:
    """A stage's job as its SQL and the settings declare it; one that began with other operator ids keeps them."""
    remembered = records.load(job_state(stage)).last_stable
    return FlinkJob(
        name=stage.job,
        tables=stage.tables,
        state_dir=variables.text("flink_state_dir"),
        renamed_from=stage.renamed_from,
        script=stage_script(pipeline, stage),
        options=operator_ids.kept(job_options(), remembered.options if remembered else None),
        topic_tables=stage.topic_tables,
        look=Flow(pipeline, stage).look,
        readers=tuple(flink_job(pipeline, reader) for reader in pipeline.readers(stage)),
    )
