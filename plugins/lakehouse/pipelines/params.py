"""The parameters of a pipeline's SQL, declared with defaults that can be overridden.

The environment has precedence (`PIPELINE_NYC_TAXI_PICKUP_FROM`), then the Airflow variable `pipeline.<name>` (a JSON object),
then the declaration.
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
    """The current values.

    :raises VariableError: the variable is not a JSON object of values
    :raises DeclarationError: the variable has a parameter that the pipeline does not declare
    """
    from_variable = variables.structure(variable_name(pipeline), dict[str, str | int | float], default={})
    if unknown := sorted(set(from_variable) - set(pipeline.params)):
        raise DeclarationError(
            f"The variable {variable_name(pipeline)} sets {unknown[0]!r}, which {pipeline.name}.yaml does not declare. "
            f"Next: remove it; the parameters are {', '.join(pipeline.params) or '(none)'}"
        )
    from_environment = {
        name: os.environ[environment_name(pipeline, name)]
        for name in pipeline.params
        if os.environ.get(environment_name(pipeline, name))
    }
    return {**pipeline.params, **from_variable, **from_environment}
