"""What a stage must find in an event, worked out from its bytes without the pipeline.

A field is text exactly as it came: a string without its quotes and escapes, a number digit by digit, a structure as its
JSON; the last one where a key comes twice. What is not one JSON object in UTF-8 has no fields: it belongs to the rejected
events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from types import NoneType

_PLAIN = {str, NoneType}
_BLANKS = " \t\n\r"
_TOKEN = re.compile(
    rf"[{_BLANKS}]*("
    r"[\[\]{},:]|true|false|null"
    r'|"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
)
# What the walk over an object waits for.
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _COMMA_OR_END, _NOTHING = range(7)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_PLAIN_JSON = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse)


def event_fields(payload: bytes | None, names: Sequence[str]) -> list[str | None] | None:
    """The text of each of these fields, None where it is missing or null; None instead of the list for a rejected event."""
    if not payload:
        return None
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    if "\\u" in text:  # half a surrogate pair may hide in it
        return _walk(text, names)
    try:
        event = _PLAIN_JSON.decode(text)
    except RecursionError:
        return _walk(text, names)
    except ValueError:
        return None
    if type(event) is not dict:
        return None
    values = list(map(event.get, names))
    return values if _PLAIN.issuperset(map(type, values)) else _walk(text, names)


def _walk(text: str, names: Sequence[str]) -> list[str | None] | None:
    """The same by a walk from token to token, for whatever Python's parser does not tell or does not survive."""
    found: dict[str, str | None] = {}
    opened: list[str] = []
    expected, position, end = _VALUE, 0, len(text.rstrip(_BLANKS))
    key, start = "", 0
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        token, position = match[1], match.end()
        mark = token[0]
        value = None  # of a member of the object itself, when the token ends one
        if mark in "[{" and expected <= _VALUE_OR_END:
            if not opened and mark == "[":
                return None
            if len(opened) == 1:
                start = match.start(1)
            opened.append(mark)
            expected = _VALUE_OR_END if mark == "[" else _KEY_OR_END
        elif mark in "]}" and opened and _ends(opened[-1] + mark, expected):
            opened.pop()
            expected = _COMMA_OR_END if opened else _NOTHING
            if len(opened) == 1:
                value = text[start:position]
        elif mark == '"' and expected in (_KEY, _KEY_OR_END):
            if len(opened) == 1:
                key = json.loads(token)
            expected = _COLON
        elif mark == ":" and expected == _COLON:
            expected = _VALUE
        elif mark == "," and expected == _COMMA_OR_END:
            expected = _KEY if opened[-1] == "{" else _VALUE
        elif mark not in "[]{}:," and expected <= _VALUE_OR_END and opened:
            expected = _COMMA_OR_END
            if len(opened) == 1:
                value = json.loads(token) if mark == '"' else token
                if token == "null":
                    found[key] = None
                    continue
        else:
            return None
        if value is not None and key in names:
            if any("\ud800" <= character <= "\udfff" for character in value):
                return None  # no UTF-8 can hold it
            found[key] = value
    return list(map(found.get, names)) if expected == _NOTHING else None


def _ends(pair: str, expected: int) -> bool:
    return expected in {"[]": (_COMMA_OR_END, _VALUE_OR_END), "{}": (_COMMA_OR_END, _KEY_OR_END)}.get(pair, ())
