"""Checks the trips to send before anything is started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from demo.main_job import Trips
from local.config import ROOT, PlatformError

T = TypeVar("T")


def check(source: str) -> None:
    """Check that a file has taxi trips.

    :raises PlatformError: it cannot be read, lacks a required column, or has no trips
    """
    _ask(lambda: _first_trip(source))


def months(trips: Trips) -> tuple[datetime, datetime]:
    """Start and exclusive end of the calendar months with 99 % of the pickup times.

    :raises PlatformError: the trips cannot be read, or there are no such months
    """
    return _ask(lambda: _months(trips))


def _first_trip(source: str) -> object:
    from taxi_generator.files import TripFile

    return next(TripFile(source).batches(1))


def _months(trips: Trips) -> tuple[datetime, datetime]:
    from taxi_generator import pickup_months

    return pickup_months(events=trips.events, seed=trips.seed, source=trips.source)


def _ask(question: Callable[[], T]) -> T:
    """Call the generator, without importing Airflow."""
    if (plugins := str(ROOT / "plugins")) not in sys.path:
        sys.path.insert(0, plugins)
    from lakehouse.texts import message
    from taxi_generator import GeneratorError

    try:
        return question()
    except GeneratorError as error:
        raise PlatformError(message(error)) from error
