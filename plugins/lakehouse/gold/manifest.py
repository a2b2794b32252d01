"""The manifests from which Cosmos renders tasks. DAG files import this module, so it must stay light."""

from __future__ import annotations

import json
from pathlib import Path

from lakehouse.paths import DBT
from lakehouse.pipelines.load import Declarations, gold_of
from lakehouse.pipelines.model import Pipeline


def manifest_file(pipeline: Pipeline) -> Path:
    """Path of the manifest of a pipeline's models."""
    return DBT / "manifests" / f"{pipeline.name}.json"


def buildable(declared: Declarations) -> list[Pipeline]:
    """The enabled pipelines with a usable Gold declaration."""
    return [pipeline for pipeline in declared.enabled if pipeline.gold and _problem(pipeline) is None]


def declaration_problems(declared: Declarations) -> list[str]:
    """One line for each declaration that is invalid, or whose Gold cannot be built: file, key, value and next step."""
    broken_gold = [
        f"{pipeline.name}.yaml: {found}"
        for pipeline in declared.enabled
        if pipeline.gold and (found := _problem(pipeline))
    ]
    return [*declared.problems.values(), *broken_gold]


def _problem(pipeline: Pipeline) -> str | None:
    file = manifest_file(pipeline)
    next_step = f"Next: make regenerate PIPELINE={pipeline.name}"
    if not file.exists():
        return f"gold: include/dbt/{file.parent.name}/{file.name} does not exist. {next_step}"
    try:
        nodes = json.loads(file.read_text())["nodes"]
    except (ValueError, KeyError, TypeError):
        return f"gold: include/dbt/{file.parent.name}/{file.name} is not a manifest. {next_step}"
    fact = gold_of(pipeline).fact
    if f"model.lakehouse.{fact}" not in nodes:
        return (
            f"gold.fact: there is no model {fact!r} in include/dbt/models/{pipeline.name}. "
            f"Next: add the model or correct the name, then make regenerate PIPELINE={pipeline.name}"
        )
    return None
