"""Reads a sample of events from JSON lines, CSV or Parquet as JSON-compatible values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from lakehouse.pipelines.load import DeclarationError
from lakehouse.send.files import Row, RowFile
from lakehouse.texts import INTEGER, NULLS, NUMBER, iso_8601

#: Maximum number of rows to read.
MAX_ROWS = 100_000
SURROGATE = re.compile("[\ud800-\udfff]")


class SampleError(DeclarationError):
    """A sample that cannot be used; the message names the row or field and the next step."""


@dataclass(frozen=True)
class Sample:
    """A sample of events.

    :param rows: the fields of each event, with JSON-compatible values, but decimals as they are
    :param places: where each row is in the file, such as `line 3`
    :param complete: whether the whole file was read
    """

    rows: list[dict[str, Any]]
    places: list[str]
    complete: bool

    @property
    def names(self) -> list[str]:
        """The fields of all rows, in the order in which they first occur."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def values(self, name: str) -> Iterator[tuple[str, Any]]:
        """Place and value of a field, for each row in which it is not null."""
        rows = zip(self.places, self.rows, strict=True)
        return ((place, row[name]) for place, row in rows if row.get(name) is not None)


def read_sample(path: Path) -> Sample:
    """Read a sample, at most its first `MAX_ROWS` rows.

    :raises SampleError: a row cannot be read, or there are no events
    :raises AirflowException: the file cannot be read
    """
    file = RowFile(path)
    found = file.rows()
    rows = list(islice(found, MAX_ROWS))
    complete = next(found, None) is None
    places = [f"{file.place} {row.number}" for row in rows]
    events = [_event(path, row, place) for row, place in zip(rows, places, strict=True)]
    if not any(events):
        raise SampleError(f"{path} contains no events. Next: use a sample with at least one event that has fields")
    if file.is_text:
        header = next(iter(events[0]))
        if separator := next((mark for mark in ";\t|" if len(events[0]) == 1 and mark in header), None):
            raise SampleError(f"{path} separates its columns with {separator!r}. Next: use commas")
        columns = [_typed(column) for column in zip(*(event.values() for event in events), strict=True)]
        events = [dict(zip(events[0], row, strict=True)) for row in zip(*columns, strict=True)]
    return Sample(events, places, complete)


def _event(path: Path, row: Row, place: str) -> dict[str, Any]:
    """The fields of one row.

    :raises SampleError: the row is not an event
    """
    if row.values is None:
        raise SampleError(
            f"{path}, {place}: {row.problem}. Next: fix or remove it; a sample must contain only valid events"
        )
    # Parsed again, because the fast parser turns large integers into floats.
    values = row.values if row.raw is None else json.loads(row.raw)
    try:
        return {name: _json_value(value) for name, value in values.items()}
    except TypeError as error:
        raise SampleError(
            f"{path}, {place}: {error}. Next: leave the field out of the sample, or make it text"
        ) from error
    except ValueError as error:
        raise SampleError(
            f"{path}, {place}: {error}. Next: convert the file, for example with `iconv -t utf-8`"
        ) from error


def _json_value(value: Any) -> Any:
    """Convert a Python value to a JSON-compatible one; decimals stay decimals.

    :raises TypeError: JSON has no equivalent
    :raises ValueError: a text that is not UTF-8
    """
    match value:
        case None | bool() | int() | Decimal():
            return value
        case str():
            if SURROGATE.search(value):
                raise ValueError("text that is not UTF-8")
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case dict():
            return {name: _json_value(part) for name, part in value.items()}
        case list() | tuple():
            return [_json_value(part) for part in value]
    raise TypeError(f"JSON has no equivalent for type {type(value).__name__}")


def _typed(cells: Iterable[str]) -> list[Any]:
    """Convert a column's cells to the narrowest type that fits all of them."""
    cells = list(cells)
    known = [None if cell in NULLS else cell for cell in cells]
    for fits, convert in (
        (INTEGER.fullmatch, int),
        (NUMBER.fullmatch, lambda cell: int(cell) if INTEGER.fullmatch(cell) else float(cell)),
        (lambda cell: cell.lower() in ("true", "false"), lambda cell: cell.lower() == "true"),
        (iso_8601, str),
    ):
        if all(fits(cell) for cell in known if cell is not None):
            return [None if cell is None else convert(cell) for cell in known]
    return [cell or None for cell in cells]
