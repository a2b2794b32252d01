"""How values are written as text: in events, in files of them, and in SQL. What the audit checks has rules of its own there."""

from __future__ import annotations

import re
from datetime import UTC, datetime

INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
#: A number as JSON writes it.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
#: The integers that a table can hold as such.
BIGINT = range(-(2**63), 2**63)
#: Cells of a CSV file that stand for null in a column of numbers, booleans or dates. In a column of text only the empty one does.
NULLS = frozenset(("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"))
#: A longer message holds a value that nobody would read to its end.
MESSAGE_CHARACTERS = 2_000
#: How DuckDB's limits on memory are written.
MEMORY = r"^[1-9]\d{0,5} ?[MG]B$"
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>Z|[-+]\d\d:\d\d)?)?", re.ASCII)


def iso_8601(text: str) -> re.Match[str] | None:
    """A date, with or without a time, as Flink's `iso_timestamp` and `iso_instant` read it; None for what no calendar has.

    :return: the match, whose group `offset` is the offset from UTC, where there is one
    """
    found = _DATE_TIME.fullmatch(text)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None
    return found


def epoch_ms(text: str) -> int:
    """A moment that a person writes: a date, with or without a time, in UTC unless it has an offset.

    :raises ValueError: it is not one; says how one is written
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time in ISO 8601. Next: write it like 2026-01-31T12:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def sql_literal(value: object) -> str:
    """A text as SQL writes it."""
    return "'" + str(value).replace("'", "''") + "'"


def printable(text: str) -> str:
    """A text in which what does not print, or would steer a terminal, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def message(error: BaseException) -> str:
    """What an error says, with its notes, on one line; cut in the middle, because the end says what to do next."""
    said = ". ".join((str(error), *getattr(error, "__notes__", ())))
    line = printable(" ".join(said.split()))
    half = MESSAGE_CHARACTERS // 2
    return line if len(line) <= MESSAGE_CHARACTERS else f"{line[:half]} ... {line[-half:]}"


def sql_problem(error: Exception) -> str:
    """What DuckDB says of a query, as a sentence, without the drawing that points into the query."""
    said = str(error).partition("\n\nLINE ")[0]
    return said if said.endswith((".", "!", "?")) else f"{said}."
