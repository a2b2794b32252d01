"""The values that a pipeline's SQL takes: declared, and overridden where somebody asks for it.

The environment comes first (`PIPELINE_NYC_TAXI_PICKUP_FROM`), then the Airflow variable `pipeline.<name>` (a JSON object), then
the declaration.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from lakehouse.airflow import variables
from lakehouse.pipelines.load import DeclarationError
from lakehouse.pipelines.model import Pipeline

Params = Mapping[str, str | int | float]


def variable_name(pipeline: Pipeline) -> str:
    """The Airflow variable that overrides parameters."""
    return f"pipeline.{pipeline.name}"


def environment_name(pipeline: Pipeline, param: str) -> str:
    """The environment variable that overrides a parameter."""
    return f"PIPELINE_{pipeline.name}_{param}".upper()


def parameters(pipeline: Pipeline) -> Params:
    """The values that are in force now.

    :raises VariableError: the variable is no JSON object of values
    :raises DeclarationError: it names a parameter that the pipeline does not declare
    """
    overridden = variables.structure(variable_name(pipeline), dict[str, str | int | float], default={})
    if unknown := sorted(set(overridden) - set(pipeline.params)):
        raise DeclarationError(
            f"The variable {variable_name(pipeline)} sets {unknown[0]!r}, which {pipeline.name}.yaml does not declare. "
            f"Next: leave it out; the parameters are {', '.join(pipeline.params) or '(none)'}"
        )
    set_outside = {
        name: os.environ[environment_name(pipeline, name)]
        for name in pipeline.params
        if os.environ.get(environment_name(pipeline, name))
    }
    return {**pipeline.params, **overridden, **set_outside}
