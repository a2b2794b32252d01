"""Extracts the fields of an event from its bytes, independently of the pipeline.

A field is text exactly as it was sent: a string without quotes and escapes, a number digit by digit, a structure as JSON; of a
repeated key, the last one counts. A payload that is not a JSON object in UTF-8 has no fields: it must be rejected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_NULL = msgspec.Raw(b"null")
#: Does not occur in JSON.
_SEPARATOR = b"\0"
_BLANKS = " \t\n\r"
_TOKEN = re.compile(
    rf"[{_BLANKS}]*("
    r"[\[\]{},:]|true|false|null"
    r'|"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
)
# What `_walk` expects next.
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _COMMA_OR_END, _NOTHING = range(7)


class EventFields:
    """Extracts fields from events.

    :param names: names of the fields
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        places = [f"field_{number}" for number in range(len(self.names))]
        event = msgspec.defstruct(
            "Event",
            [(place, msgspec.Raw, _NULL) for place in places],
            rename=dict(zip(places, self.names, strict=True)),
        )
        self._decode = msgspec.json.Decoder(event).decode
        self._values = attrgetter(*places)

    def columns(self, payloads: Sequence[bytes | None]) -> tuple[pa.Array, list[pa.Array]]:
        """Whether each payload is an event, and for each field the texts of all payloads; null if there is no value."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = list(map(self._row, payloads))
        is_event = pa.array([row is not None for row in rows], pa.bool_())
        if not rows:
            return is_event, [pa.array([], pa.string())] * len(self.names)
        nothing, fields = (_NULL,) * len(self.names), len(self.names)
        # All values of all events at once: creating a Python object for each would take half of the time.
        joined = _SEPARATOR.join(chain.from_iterable(row or nothing for row in rows))
        values = pc.split_pattern(pa.array([joined], pa.large_binary()), _SEPARATOR).values
        places = np.arange(0, len(values), fields)
        return is_event, [_texts(values.take(pa.array(places + number))) for number in range(fields)]

    def _row(self, payload: bytes | None) -> Sequence[msgspec.Raw] | None:
        """Each field as JSON; None if the payload is not an event."""
        if not payload:
            return None
        try:
            text = payload.decode()
            found = self._decode(payload)
        except UnicodeDecodeError:
            return None
        except (msgspec.DecodeError, RecursionError):  # msgspec rejects some valid JSON
            if (walked := _walk(text, self.names)) is None:
                return None
            return [_NULL if value is None else msgspec.Raw(json.dumps(value).encode()) for value in walked]
        values = self._values(found)
        return values if len(self.names) > 1 else (values,)


def _texts(written: pa.Array) -> pa.Array:
    """JSON values as text: strings without quotes and escapes, everything else as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_string = pc.starts_with(written, b'"')
    texts = pc.if_else(pc.equal(written, b"null"), None, written)
    if pc.any(is_string).as_py():
        texts = pc.if_else(is_string, pc.binary_slice(written, 1, -1), texts)
        escaped = pc.and_(is_string, pc.match_substring(written, b"\\"))
        if pc.any(escaped).as_py():
            plain = [json.loads(value).encode() for value in written.filter(escaped).to_pylist()]
            texts = pc.replace_with_mask(texts, escaped, pa.array(plain, written.type))
    return texts.cast(pa.string())


def _walk(text: str, names: Sequence[str]) -> list[str | None] | None:
    """The text of each field, by walking from token to token; None if the text is not an event."""
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
        value = None  # of a top-level member that ends with this token
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
                return None  # cannot be encoded in UTF-8
            found[key] = value
    return list(map(found.get, names)) if expected == _NOTHING else None


def _ends(pair: str, expected: int) -> bool:
    return expected in {"[]": (_COMMA_OR_END, _VALUE_OR_END), "{}": (_COMMA_OR_END, _KEY_OR_END)}.get(pair, ())
