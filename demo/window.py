"""The window of pickup times that Silver accepts, as set for the demo: it applies to the whole platform.

It is the platform's override of the pipeline's parameters (`PIPELINE_NYC_TAXI_PICKUP_FROM`, stored in its env file), which
the Flink jobs, the generator, the audit and shells use until it is changed.
"""

from __future__ import annotations

import contextlib
import os
from datetime import datetime

from local import commands, config
from local.config import PlatformError
from local.supervision import Supervisor

AUTO = "auto"
FROM, TO = "PICKUP_FROM", "PICKUP_TO"
SHOWN_CHARACTERS = 200
EXAMPLE = '{}="2024-02-01 00:00:00"'
OVERRIDES = ("PIPELINE_NYC_TAXI_PICKUP_FROM", "PIPELINE_NYC_TAXI_PICKUP_TO")

Window = tuple[datetime, datetime]


def read(pickup_from: str | None, pickup_to: str | None) -> Window | str | None:
    """Parse the arguments: a window, `auto`, or nothing.

    :raises PlatformError: they are not a window
    """
    if pickup_from is None and pickup_to is None:
        return None
    if pickup_from == AUTO:
        if pickup_to is not None:
            raise PlatformError(
                f"{FROM}={AUTO} also sets the end of the window, but {TO} is {shown(pickup_to)}. Next: leave out {TO}"
            )
        return AUTO
    given = {FROM: pickup_from, TO: pickup_to}
    for (name, value), other in zip(given.items(), (TO, FROM), strict=True):
        if value is None:
            there = f"{other} is {shown(given[other] or '')}"
            raise PlatformError(f"{there}, but {name} is missing. Next: give both, or {FROM}={AUTO} alone")
    first, after = (_moment(name, value or "") for name, value in given.items())
    if first >= after:
        raise PlatformError(
            f"{FROM} ({pickup_from!r}) must be earlier than {TO} ({pickup_to!r}). Next: give a later {TO}"
        )
    return first, after


def _moment(name: str, text: str) -> datetime:
    """A time in whole seconds, in New York's local time."""
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and not moment.microsecond:
            return moment
    allowed = EXAMPLE.format(name) + (f", or {FROM}={AUTO}" if name == FROM else "")
    raise PlatformError(
        f"{name} is {shown(text)}, but it must be a time in whole seconds without a time zone. Next: give {allowed}"
    )


def shown(text: str) -> str:
    """A value as in a message; long ones are shortened."""
    quoted = repr(text)
    return quoted if len(quoted) <= SHOWN_CHARACTERS else f"{quoted[:SHOWN_CHARACTERS]}..."


def put_in_force(window: Window) -> None:
    """Set the platform's window for its next start. A platform that runs with another window is stopped."""
    first, after = (moment.isoformat(sep=" ") for moment in window)
    os.environ |= dict(zip(OVERRIDES, (first, after), strict=True))
    platform = config.declare()
    kept = config.read_env(platform.env_file)
    print(
        f"From now on, Silver accepts pickup times from {first} until {after} (saved in {platform.env_file}).",
        flush=True,
    )
    if all(kept.get(name) == os.environ[name] for name in OVERRIDES) or not Supervisor(platform).running():
        return
    print("The platform is running with a different window, so it is restarted now.", flush=True)
    commands.down()
