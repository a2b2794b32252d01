"""The pipeline of the trips: its topic, and the window of pickups that its Silver accepts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .errors import GeneratorError

if TYPE_CHECKING:
    from lakehouse.pipelines.model import Pipeline

NAME = "nyc_taxi"
EDGES = ("pickup_from", "pickup_to")
#: Silver's reason for a trip outside the window.
OUTSIDE = "tpep_pickup_datetime is outside the window"


def topic() -> str:
    """The pipeline's topic.

    :raises GeneratorError: the pipeline is not declared
    """
    return _declared().topic.name


def window() -> tuple[datetime, datetime]:
    """Start and exclusive end of the window, from the pipeline's current parameters.

    :raises GeneratorError: the pipeline is not declared, or a parameter is not a timestamp
    """
    from lakehouse.pipelines.params import parameters

    try:
        params = parameters(_declared())
        first, after = (datetime.fromisoformat(str(params[name])) for name in EDGES)
    except (ValueError, KeyError) as error:
        problem = f"The parameters {' and '.join(EDGES)} of pipeline {NAME} are not a window: {error}."
        raise GeneratorError(f"{problem} Next: correct them, or set --pickup-from and --pickup-to.") from error
    return first, after


def moment(edge: datetime) -> str:
    """An edge of the window in the format of the parameters."""
    return edge.isoformat(sep=" ", timespec="seconds")


def _declared() -> Pipeline:
    from lakehouse.pipelines.contract import ContractError
    from lakehouse.pipelines.load import DeclarationError, get_pipeline

    try:
        return get_pipeline(NAME)
    except (DeclarationError, ContractError) as error:
        raise GeneratorError(str(error)) from error
