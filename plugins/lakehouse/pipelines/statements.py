"""Flink SQL scripts: from one file to the statements that the SQL Gateway takes one by one."""

from __future__ import annotations

import sqlparse
from sqlparse import tokens

_DEPTH = {"BEGIN": 1, "CASE": 1, "END": -1}


def statements(script: str) -> list[str]:
    """Split a rendered script at its semicolons, leaving those in strings, comments and `BEGIN ... END` alone.

    Comments go, hints (`/*+ ... */`) stay.
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
    """The statements of a script with one blank wherever there is any: equal for scripts that differ in layout or comments."""
    return [_single_blanks(statement) for statement in statements(script)]


def _single_blanks(statement: str) -> str:
    words: list[str] = []
    for kind, text in sqlparse.lexer.tokenize(statement):
        words.append(" " if kind in tokens.Whitespace else text)
    squeezed = [word for before, word in zip(["", *words], words, strict=False) if not (before == word == " ")]
    return "".join(squeezed).strip()
