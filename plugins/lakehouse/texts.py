"""How values are written as text: in events, in event files, and in SQL. The audit has its own, independent rules."""

from __future__ import annotations

import re
from datetime import UTC, datetime

INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
#: A number as JSON writes it.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
#: The integers that fit into a BIGINT column.
BIGINT = range(-(2**63), 2**63)
#: CSV cells that mean null in a column of numbers, booleans or dates. In a text column, only the empty cell does.
NULLS = frozenset(("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"))
#: Longer messages are cut: they contain a value that nobody would read to the end.
MESSAGE_CHARACTERS = 2_000
#: Pattern of DuckDB's memory limits.
MEMORY = r"^[1-9]\d{0,5} ?[MG]B$"
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>Z|[-+]\d\d:\d\d)?)?", re.ASCII)


def iso_8601(text: str) -> re.Match[str] | None:
    """Match a date, with or without a time, as Flink's `iso_timestamp` and `iso_instant` do; None if it is not a valid date.

    :return: the match; its group `offset` is the offset from UTC, if there is one
    """
    found = _DATE_TIME.fullmatch(text)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None
    return found


def epoch_ms(text: str) -> int:
    """Parse a date, with or without a time, in UTC unless it has an offset.

    :raises ValueError: it is not in ISO 8601; the message has an example
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time in ISO 8601. Next: write it like 2026-01-31T12:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def sql_literal(value: object) -> str:
    """A value as a SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def printable(text: str) -> str:
    """The text with non-printable and terminal control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def message(error: BaseException) -> str:
    """An error's message and notes on one line; if too long, cut in the middle, because the end says what to do next."""
    parts = ". ".join((str(error), *getattr(error, "__notes__", ())))
    line = printable(" ".join(parts.split()))
    half = MESSAGE_CHARACTERS // 2
    return line if len(line) <= MESSAGE_CHARACTERS else f"{line[:half]} ... {line[-half:]}"


def sql_problem(error: Exception) -> str:
    """DuckDB's error message as a sentence, without the excerpt of the query."""
    sentence = str(error).partition("\n\nLINE ")[0]
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
