"""How values are written as text: in events, in files of them, and in SQL. What the audit checks has rules of its own there."""

from __future__ import annotations

import re
from datetime import datetime

INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
#: A number as JSON writes it.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
#: The integers that a table can hold as such.
BIGINT = range(-(2**63), 2**63)
#: Cells of a CSV file that stand for null in a column of numbers, booleans or dates. In a column of text only the empty one does.
NULLS = frozenset(("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"))
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


def sql_literal(value: object) -> str:
    """A text as SQL writes it."""
    return "'" + str(value).replace("'", "''") + "'"
