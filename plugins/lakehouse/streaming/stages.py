"""From a declared stage to the Flink job that it stands for."""

from __future__ import annotations

from airflow.sdk import Variable

from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.pipelines.script import stage_script
from lakehouse.streaming.flow import Flow
from lakehouse.streaming.job import FlinkJob, JobState


def job_state(stage: Stage) -> JobState:
    """Where the state of a stage's job is."""
    return JobState(stage.job, stage.tables, Variable.get("flink_state_dir"), stage.renamed_from)


def job_states() -> list[JobState]:
    """Those of every declared stage, also of pipelines that are switched off."""
    return [job_state(stage) for pipeline in declarations().pipelines.values() for stage in pipeline.stages.values()]


def flink_job(pipeline: Pipeline, stage: Stage) -> FlinkJob:
    """A stage's job as its SQL and the settings declare it."""
    return FlinkJob(
        name=stage.job,
        tables=stage.tables,
        state_dir=Variable.get("flink_state_dir"),
        renamed_from=stage.renamed_from,
        script=stage_script(pipeline, stage),
        options=Variable.get("flink_job_options", deserialize_json=True),
        topic_tables=stage.topic_tables,
        pending=Flow(pipeline, stage).pending,
        readers=tuple(flink_job(pipeline, reader) for reader in pipeline.readers(stage)),
    )
