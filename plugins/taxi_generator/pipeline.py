"""The pipeline that the trips are for: its topic, and the window that its Silver accepts pickups from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .errors import GeneratorError

if TYPE_CHECKING:
    from lakehouse.pipelines.model import Pipeline

NAME = "nyc_taxi"
EDGES = ("pickup_from", "pickup_to")
#: Silver's reason for a trip that the window leaves out.
OUTSIDE = "tpep_pickup_datetime is outside the window"


def topic() -> str:
    """The topic that the pipeline reads.

    :raises GeneratorError: it is not declared
    """
    return _declared().topic.name


def window() -> tuple[datetime, datetime]:
    """First moment of the window, and the first one after it, as the pipeline's parameters say now.

    :raises GeneratorError: it is not declared, or a parameter is no moment
    """
    from lakehouse.pipelines.params import parameters

    try:
        params = parameters(_declared())
        first, after = (datetime.fromisoformat(str(params[name])) for name in EDGES)
    except (ValueError, KeyError) as error:
        problem = f"The parameters {' and '.join(EDGES)} of pipeline {NAME} are no window: {error}."
        raise GeneratorError(f"{problem} Next: correct them, or give --pickup-from and --pickup-to.") from error
    return first, after


def moment(edge: datetime) -> str:
    """An edge of the window as a parameter has it."""
    return edge.isoformat(sep=" ", timespec="seconds")


def _declared() -> Pipeline:
    from lakehouse.pipelines.contract import ContractError
    from lakehouse.pipelines.load import DeclarationError, get_pipeline

    try:
        return get_pipeline(NAME)
    except (DeclarationError, ContractError) as error:
        raise GeneratorError(str(error)) from error
