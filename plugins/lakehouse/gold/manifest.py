"""The manifest of each pipeline's models, which Cosmos draws the tasks from. DAG files import this module: it stays light."""

from __future__ import annotations

import json
from pathlib import Path

from lakehouse.paths import DBT
from lakehouse.pipelines.load import Declarations, gold_of
from lakehouse.pipelines.model import Pipeline


def manifest_file(pipeline: Pipeline) -> Path:
    """The manifest of a pipeline's models."""
    return DBT / "manifests" / f"{pipeline.name}.json"


def buildable(declared: Declarations) -> list[Pipeline]:
    """The enabled pipelines whose Gold a DAG can build."""
    return [pipeline for pipeline in declared.enabled if pipeline.gold and _problem(pipeline) is None]


def problems(declared: Declarations) -> list[str]:
    """One line for each declaration that cannot be used, or whose Gold cannot be built: file, key, value and next step."""
    broken_gold = [
        f"{pipeline.name}.yaml: {found}"
        for pipeline in declared.enabled
        if pipeline.gold and (found := _problem(pipeline))
    ]
    return [*declared.problems.values(), *broken_gold]


def _problem(pipeline: Pipeline) -> str | None:
    file = manifest_file(pipeline)
    again = f"Next: make regenerate PIPELINE={pipeline.name}"
    if not file.exists():
        return f"gold: there is no {file.parent.name}/{file.name} in include/dbt. {again}"
    try:
        nodes = json.loads(file.read_text())["nodes"]
    except (ValueError, KeyError, TypeError):
        return f"gold: include/dbt/{file.parent.name}/{file.name} is no manifest. {again}"
    fact = gold_of(pipeline).fact
    if f"model.lakehouse.{fact}" not in nodes:
        return (
            f"gold.fact: there is no model {fact!r} in include/dbt/models/{pipeline.name}. "
            f"Next: add it or correct the name, then make regenerate PIPELINE={pipeline.name}"
        )
    return None
