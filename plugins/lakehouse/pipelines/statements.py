"""Splits Flink SQL scripts into statements, which the SQL Gateway executes one by one."""

from __future__ import annotations

import sqlparse
from sqlparse import tokens

_DEPTH = {"BEGIN": 1, "CASE": 1, "END": -1}


def statements(script: str) -> list[str]:
    """Split a rendered script at its semicolons, except those in strings, comments and `BEGIN ... END`.

    Comments are removed, hints (`/*+ ... */`) are kept.
    """
    found = [""]
    depth = 0
    for kind, text in sqlparse.lexer.tokenize(script):
        if kind in tokens.Comment and kind is not tokens.Comment.Multiline.Hint:
            found[-1] += "\n"
            continue
        if kind in tokens.Keyword:
            depth += _DEPTH.get(text.upper(), 0)
        if kind is tokens.Punctuation and text == ";" and depth == 0:
            found.append("")
        else:
            found[-1] += text
    return [statement.strip() for statement in found if statement.strip()]


def canonical(script: str) -> list[str]:
    """The statements with normalized whitespace: equal for scripts that differ only in layout or comments."""
    return [_normalized(statement) for statement in statements(script)]


def _normalized(statement: str) -> str:
    parts: list[str] = []
    for kind, text in sqlparse.lexer.tokenize(statement):
        parts.append(" " if kind in tokens.Whitespace else text)
    kept = [part for before, part in zip(["", *parts], parts, strict=False) if not (before == part == " ")]
    return "".join(kept).strip()
