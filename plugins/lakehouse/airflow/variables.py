"""Airflow variables as typed values; a missing or malformed one is reported in one line that names it."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException
from pydantic import TypeAdapter, ValidationError

from lakehouse.validation import reasons

T = TypeVar("T")


class VariableError(AirflowException):
    """A variable is missing or invalid; the message says why and what to do."""


def text(name: str) -> str:
    """The value of a variable, as text.

    :raises VariableError: it is not set
    """
    value = Variable.get(name, default=None)
    if value is None:
        raise VariableError(
            f"The variable {name} is not set. Next: declare it in airflow_settings.yaml, then `make up`"
        )
    return value


def structure(name: str, shape: type[T], default: T | None = None) -> T:
    """A variable that holds JSON, validated against a type: a pydantic model, or any type that pydantic can validate.

    :param default: used if the variable is not set; None: it must be set
    :raises VariableError: it is not set, is not JSON, or does not match the type
    """
    if default is not None and Variable.get(name, default=None) is None:
        return default
    written = text(name)
    try:
        return TypeAdapter(shape).validate_python(_parsed(name, written))
    except ValidationError as error:
        raise VariableError(f"The variable {name}: {reasons(error)}") from error


def _parsed(name: str, written: str) -> Any:
    try:
        return json.loads(written)
    except json.JSONDecodeError as error:
        start = written if len(written) <= 80 else f"{written[:80]}..."
        raise VariableError(
            f"The variable {name} is not JSON: {error}. It is {start!r}. Next: correct it (Admin, Variables)"
        ) from error
