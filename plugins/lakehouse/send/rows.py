"""Converts values of a file to values of an event, by the field's type in the contract, or refuses them with a reason."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from typing import Any

from lakehouse.pipelines.contract import Contract, Field
from lakehouse.texts import BIGINT, NULLS, iso_8601
from lakehouse.texts import NUMBER as JSON_NUMBER

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
#: Integers with more digits are refused: they are not plausible, and converting 1e999999999 would never end.
_DIGITS = 100
_CACHE_SIZE = 50_000
_NAMES = {
    "integer": "an integer",
    "number": "a finite number",
    "boolean": "true or false",
    "string": "text",
    "object": "an object",
    "array": "an array",
}
#: Type of a date or time as text -> whether it has an offset from UTC, and its description.
_MOMENTS = {
    "DATE": (False, "a date"),
    "TIMESTAMP(6)": (False, "a date and time without an offset"),
    "TIMESTAMP_LTZ(6)": (True, "a date and time with an offset from UTC"),
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class Refused(ValueError):
    """A row is not sent: `reason` is the same for all rows of its kind, `value` is that of this row."""

    def __init__(self, reason: str, value: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


class Conversion:
    """Converts rows to events.

    :param contract: the contract of the events
    :param from_text: whether all values are text, which is converted to the field's type (CSV)
    :param from_json: whether a row already is an event, which is only checked: an explicit null counts as null
    """

    def __init__(self, contract: Contract, from_text: bool = False, from_json: bool = False) -> None:
        convert = _from_text if from_text else _from_value
        self._fields = [(field.name, field.required, field.nullable, convert(field)) for field in contract.fields]
        self._names = frozenset(contract.names)
        self._from_text, self._from_json = from_text, from_json

    def event(self, values: dict[str, Any]) -> dict[str, Any]:
        """The fields of the event: those of the contract, checked, and then unknown ones as they are.

        A column without a value is null in the event, or left out if the contract does not allow null.

        :raises Refused: a field is missing, null or has the wrong type
        """
        event: dict[str, Any] = {}
        for name, required, nullable, convert in self._fields:
            value = values.get(name)
            if value is not None:
                value = convert(value)
            if value is not None:
                event[name] = value
            elif name not in values or not (nullable or self._from_json):
                if required:
                    raise Refused(f"{name} is missing")
            elif nullable:
                event[name] = None
            else:
                raise Refused(f"{name} is null")
        for name in [name for name in values if name not in self._names]:
            value = values[name]
            event[name] = None if value == "" and self._from_text else value
        return event


def _from_value(field: Field) -> Callable[[Any], Any]:
    """Return a function that checks values of Parquet or JSON."""
    no_integer, no_number = f"{field.name} is not an integer", f"{field.name} is not a finite number"
    structures = {"object": dict, "array": list, "boolean": bool}

    def number(value: Any) -> Any:
        if type(value) is int:
            return value
        if not isinstance(value, float | Decimal):
            raise Refused(no_number, value)
        if math.isfinite(value):
            return value
        if math.isnan(value):
            return None
        raise Refused(no_number, value)

    def integer(value: Any) -> Any:
        if type(value) is not int:
            if not isinstance(value, float | Decimal):
                raise Refused(no_integer, value)
            if math.isnan(value):
                return None
            value = _whole(value, no_integer)
        return _integer(field, value)

    def other(value: Any) -> Any:
        if isinstance(value, structures[field.json_type]):
            return value
        raise Refused(f"{field.name} is not {_NAMES[field.json_type]}", value)

    return {"integer": integer, "number": number, "string": _text(field)}.get(field.json_type, other)


def _from_text(field: Field) -> Callable[[str], Any]:
    """Return a function that converts text of CSV to the field's type."""
    import orjson

    problem = f"{field.name} is not {_NAMES[field.json_type]}"

    def integer(text: str) -> Any:
        if not _NUMBER.fullmatch(text) or len(text) > _DIGITS or Decimal(text).adjusted() > _DIGITS:
            raise Refused(problem, text)
        return _integer(field, int(text) if text.lstrip("+-").isdigit() else _whole(Decimal(text), problem))

    def number(text: str) -> Any:
        if JSON_NUMBER.fullmatch(text):
            return orjson.Fragment(text)  # digit by digit
        if _NUMBER.fullmatch(text) and math.isfinite(value := float(text)):
            return value
        raise Refused(problem, text)

    def boolean(text: str) -> Any:
        if (value := _BOOLEANS.get(text.lower())) is None:
            raise Refused(problem, text)
        return value

    def structure(text: str) -> Any:
        try:
            if isinstance(orjson.loads(text), dict if field.json_type == "object" else list):
                return orjson.Fragment(text)
        except orjson.JSONDecodeError:
            pass
        raise Refused(problem, text)

    if field.json_type == "string" and field.type not in _MOMENTS:
        return lambda text: text or None
    convert = {"integer": integer, "number": number, "boolean": boolean, "string": _text(field)}.get(
        field.json_type, structure
    )
    # Columns often repeat the same texts: converting each only once takes half the time.
    known: dict[str, Any] = {}

    def of_a_value(text: str) -> Any:
        try:
            return known[text]
        except KeyError:
            if len(known) == _CACHE_SIZE:
                known.clear()
            stripped = text.strip()
            known[text] = None if stripped in NULLS else convert(stripped)
            return known[text]

    return of_a_value


def _text(field: Field) -> Callable[[Any], str]:
    """Return a function that checks text, which must be a date or time if that is the field's type."""
    if field.type not in _MOMENTS:
        return lambda value: _plain_text(value, f"{field.name} is not text")
    with_offset, what = _MOMENTS[field.type]
    problem = f"{field.name} is not {what}"

    def moment(value: Any) -> str:
        if isinstance(value, date):  # includes datetime
            value = value.isoformat()
        if isinstance(value, str) and (read := _moment(value, with_offset)):
            return read
        raise Refused(problem, value)

    return moment


def _plain_text(value: Any, problem: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    raise Refused(problem, value)


@lru_cache(maxsize=65_536)
def _moment(text: str, with_offset: bool) -> str | None:
    """ISO 8601 with a T; None if it is not a valid date, or has an offset when it must not, or vice versa."""
    found = iso_8601(text)
    return text.replace(" ", "T") if found and bool(found["offset"]) == with_offset else None


def _whole(value: float | Decimal, problem: str) -> int:
    if not math.isfinite(value) or value != math.floor(value):
        raise Refused(problem, value)
    return int(value)


def _integer(field: Field, value: int) -> Any:
    """An integer; more than 64 bits are allowed only if the tables store it as text."""
    import orjson

    if value in BIGINT:
        return value
    if field.type == "STRING":
        return orjson.Fragment(str(value))
    raise Refused(f"{field.name} is not an integer of 64 bits", value)
