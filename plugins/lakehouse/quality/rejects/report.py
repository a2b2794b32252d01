"""Rejected events for people: a table of reasons, the first events in full, and a file to fix them in."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowException

from lakehouse.pipelines.model import Pipeline
from lakehouse.text_table import text_table
from lakehouse.texts import printable

from .read import Reject, open_rejects, reasons, rejecting_stages

SHOWN = 10
SHOWN_CHARACTERS = 400


def overview(pipeline: Pipeline, stage: str | None = None) -> str:
    """The reasons as a table. Errors as in `reasons`."""
    rows = [
        {
            "stage": found.stage,
            "rejected": f"{found.rejected:,}",
            "fixed": f"{found.fixed:,}",
            "last": f"{found.last_at:%Y-%m-%d %H:%M:%S}" if found.last_at else None,
            "reason": readable(found.reason.encode()),
        }
        for found in reasons(pipeline, stage)
    ]
    return text_table(rows) if rows else f"No event of {pipeline.name} was ever rejected."


def show(
    pipeline: Pipeline, stage: str | None = None, reason: str | None = None, limit: int | None = None
) -> Iterator[str]:
    """The overview, then the first open rejects of each stage. Errors as in `open_rejects`.

    :param limit: maximum number per stage, by default 10
    """
    yield overview(pipeline, stage)
    for reject in _selected(pipeline, stage, reason, SHOWN if limit is None else limit):
        yield f"\n{reject.stage} {reject.position}: {readable(reject.reason.encode())}\n  {readable(reject.payload)}"


def write(
    pipeline: Pipeline,
    file: Path,
    stage: str | None = None,
    reason: str | None = None,
    limit: int | None = None,
) -> int:
    """Write the open rejects to a new file, one JSON object per line: stage, position, reason, and the `payload` to fix.

    `payload` is JSON if the event is an object, or else text, or null; `payload_base64` is used for payloads that are not UTF-8.

    :param limit: maximum number per stage, by default all
    :return: number of events written
    :raises AirflowException: the file exists or cannot be written; others as in `open_rejects`. No partial file is left
    """
    import orjson

    written = 0
    try:
        with file.open("xb") as lines:
            try:
                for reject in _selected(pipeline, stage, reason, limit):
                    head = {"stage": reject.stage, "position": reject.position, "reason": reject.reason}
                    lines.write(orjson.dumps(head | _payload(reject)) + b"\n")
                    written += 1
            except BaseException:
                file.unlink()
                raise
    except OSError as error:
        raise AirflowException(f"{file} cannot be written: {error.strerror}. Next: choose another file.") from error
    return written


def readable(payload: bytes | None) -> str:
    """A payload on one line, truncated if it is long, with non-printable and terminal control characters escaped."""
    if payload is None:
        return "(none)"
    text = payload[: 4 * SHOWN_CHARACTERS].decode(errors="backslashreplace")[:SHOWN_CHARACTERS]
    shown = printable(text)
    return shown if len(payload) <= len(text.encode()) else f"{shown}... ({len(payload):,} bytes)"


def _selected(pipeline: Pipeline, stage: str | None, reason: str | None, limit: int | None) -> Iterator[Reject]:
    for rejecting in rejecting_stages(pipeline, stage):
        yield from open_rejects(pipeline, rejecting.name, reason, limit)


def _payload(reject: Reject) -> dict[str, Any]:
    import orjson

    if reject.payload is None:
        return {"payload": None}
    if reject.rebuilt:
        return {"payload": orjson.Fragment(reject.payload)}
    try:
        return {"payload": reject.payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(reject.payload).decode()}
