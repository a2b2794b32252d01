"""Loads declarations from `include/pipelines/`. Each is checked on its own, so that an invalid one does not affect the others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from lakehouse.paths import INCLUDE
from lakehouse.pipelines.contract import ContractError, read_contract
from lakehouse.pipelines.model import Gold, Pipeline, Stage
from lakehouse.validation import reasons

#: The platform's own namespaces: logs, and the tables that a replay builds and keeps.
RESERVED_NAMESPACES = re.compile(r"ops|.+_replay_[0-9a-f]{8}|.+_before_replay")


class DeclarationError(ValueError):
    """A pipeline that is not declared, or whose declaration is invalid."""


@dataclass(frozen=True)
class Declarations:
    """All declarations.

    :param pipelines: the valid ones by name, including disabled ones
    :param problems: file name -> what is invalid, in one line: key, value and fix
    """

    pipelines: dict[str, Pipeline]
    problems: dict[str, str]

    @property
    def enabled(self) -> tuple[Pipeline, ...]:
        return tuple(pipeline for pipeline in self.pipelines.values() if pipeline.enabled)


def declarations(include: Path = INCLUDE) -> Declarations:
    """Read all declarations, in the order of the file names. Of two that conflict, the later one is rejected."""
    found: dict[str, Pipeline] = {}
    problems: dict[str, str] = {}
    for file in sorted((include / "pipelines").glob("*.yaml")):
        try:
            pipeline = _read(file, include)
            _refuse_conflicts(pipeline, found)
        except (DeclarationError, ContractError) as error:
            problems[file.name] = f"{file.name}: {error}"
        else:
            found[pipeline.name] = pipeline
    return Declarations(found, problems)


def enabled_pipelines() -> tuple[Pipeline, ...]:
    """The enabled pipelines."""
    return declarations().enabled


def get_pipeline(name: str) -> Pipeline:
    """The pipeline with this name.

    :raises DeclarationError: there is no such pipeline, or its declaration is invalid
    """
    known = declarations()
    if problem := known.problems.get(f"{name}.yaml"):
        raise DeclarationError(f"include/pipelines/{problem}")
    if name not in known.pipelines:
        raise DeclarationError(
            f"There is no pipeline {name!r}. Next: choose one of {', '.join(known.pipelines) or '(none is declared)'}"
        )
    return known.pipelines[name]


def get_stage(job: str) -> tuple[Pipeline, Stage]:
    """The pipeline and stage of a Flink job (`<pipeline>.<stage>`).

    :raises DeclarationError: there is no such pipeline or stage
    """
    name, _, stage = job.partition(".")
    pipeline = get_pipeline(name)
    if stage not in pipeline.stages:
        jobs = ", ".join(found.job for found in pipeline.stages.values())
        raise DeclarationError(f"Pipeline {name} has no stage {stage!r}. Next: choose one of the jobs {jobs}")
    return pipeline, pipeline.stages[stage]


def gold_of(pipeline: Pipeline) -> Gold:
    """The Gold declaration of a pipeline.

    :raises DeclarationError: the pipeline has no Gold
    """
    if pipeline.gold is None:
        raise DeclarationError(
            f"Pipeline {pipeline.name} has no Gold. Next: declare it under `gold` in include/pipelines/{pipeline.name}.yaml"
        )
    return pipeline.gold


def _read(file: Path, include: Path) -> Pipeline:
    try:
        declared = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DeclarationError(f"it cannot be read: {' '.join(str(error).split())}. Next: fix the YAML") from error
    if not isinstance(declared, dict):
        raise DeclarationError("it is not a mapping. Next: write title, topic and stages (see nyc_taxi.yaml)")
    if repeated := {"name", "contract"} & declared.keys():
        raise DeclarationError(f"{min(repeated)}: unknown key. Next: remove it; a pipeline has the name of its file")
    topic = declared.get("topic")
    contract = topic.get("contract") if isinstance(topic, dict) else None
    if not isinstance(contract, str):
        raise DeclarationError("topic.contract is missing. Next: name a file in include/contracts/")
    _require(include / "contracts", contract, "topic.contract")
    try:
        pipeline = Pipeline.model_validate(
            {**declared, "name": file.stem, "contract": read_contract(include / "contracts" / contract)}
        )
    except ValidationError as error:
        raise DeclarationError(reasons(error)) from error
    for stage in pipeline.stages.values():
        _require(include / "sql", stage.sql, f"stages.{stage.name}.sql")
        if stage.audit:
            _require(include / "sql", stage.audit, f"stages.{stage.name}.audit")
    if pipeline.gold and pipeline.gold.audit:
        _require(include / "sql", pipeline.gold.audit, "gold.audit")
    if pipeline.enabled and pipeline.gold:
        _require(include / "dbt" / "models", pipeline.name, "gold")
    return pipeline


def _require(folder: Path, name: str, key: str) -> None:
    if not (folder / name).exists():
        raise DeclarationError(
            f"{key}: {folder.parent.name}/{folder.name}/{name} does not exist. Next: add it, or correct the name"
        )


def _refuse_conflicts(pipeline: Pipeline, others: dict[str, Pipeline]) -> None:
    """Reject a pipeline that uses tables or topics of the platform or of another pipeline."""
    for table in pipeline.tables:
        if RESERVED_NAMESPACES.fullmatch(table.partition(".")[0]):
            raise DeclarationError(f"stages: {table} is in a namespace of the platform. Next: choose another namespace")
    for other in others.values():
        if pipeline.topic.name == other.topic.name:
            raise DeclarationError(
                f"topic.name: {pipeline.topic.name} is also the topic of {other.name}.yaml. Next: use another topic"
            )
        if shared := sorted(set(pipeline.tables) & set(other.tables)):
            raise DeclarationError(
                f"stages.{pipeline.writer(shared[0]).name}.sinks: {shared[0]} is also written by {other.name}.yaml. "
                "Next: use another table"
            )
