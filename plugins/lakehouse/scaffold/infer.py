"""Infers a contract from a sample: type, format and column of each field."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lakehouse.pipelines.contract import NAME
from lakehouse.scaffold.sample import Sample, SampleError
from lakehouse.texts import BIGINT, iso_8601

#: Digits of a decimal that fits into 64 bits.
DIGITS = 18
_KINDS = {
    bool: "boolean", int: "integer", float: "number", Decimal: "number", str: "string", dict: "object", list: "array",
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """What a sample shows about an event.

    :param properties: properties of the contract, by field
    :param required: fields of key and time
    :param never_null: other fields that every row has
    :param as_integers: fields whose integers are written with a fraction of .0, next to nulls
    :param always_null: fields without a value in any row
    :param years: first and last year of `time`; None without a time
    :param repeats: number of rows with the key of an earlier row
    """

    properties: dict[str, dict[str, Any]]
    required: list[str]
    never_null: list[str]
    as_integers: list[str]
    always_null: list[str]
    years: tuple[int, int] | None
    repeats: int


def infer(sample: Sample, key: Sequence[str], time: str | None) -> Event:
    """Infer the properties of an event from a sample.

    Only the fields of key and time are required: a field that is never null in the sample may be null later.

    :param key: fields that identify an event; empty: all fields together
    :param time: field with the time of the event
    :raises SampleError: a field mixes types or cannot be a column, or a field cannot be used as key or time
    """
    required = list(dict.fromkeys([*key, *([time] if time else [])]))
    for name in required:
        _require(sample, name)
    properties = {name: _property(sample, name, name in required) for name in sample.names}
    present = {name: [value for _, value in sample.values(name)] for name in sample.names}
    return Event(
        properties,
        required,
        [name for name, values in present.items() if len(values) == len(sample.rows) and name not in required],
        [name for name, values in present.items() if _are_whole_floats(values, len(sample.rows))],
        [name for name, values in present.items() if not values],
        _years(sample, time, properties[time]) if time else None,
        _repeats(sample, key or sample.names),
    )


def snake_case(name: str) -> str:
    """Convert `depDelay`, `DepDelay` and `DEPDelay` to dep_delay."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _require(sample: Sample, name: str) -> None:
    """Check that every row has a field of key or time."""
    if name not in sample.names:
        raise SampleError(f"The sample has no field {name!r}. Next: choose one of {', '.join(sample.names)}")
    lacking = [place for place, row in zip(sample.places, sample.rows, strict=True) if row.get(name) is None]
    if lacking:
        raise SampleError(
            f"{name} is missing or null in {lacking[0]} ({len(lacking):,} of {len(sample.rows):,} rows), and Silver would reject "
            "such events. Next: choose another field for KEY or TIME, or remove these rows from the sample"
        )


def _property(sample: Sample, name: str, required: bool) -> dict[str, Any]:
    """The JSON Schema of a field."""
    if not NAME.fullmatch(name):
        raise SampleError(
            f"Field {name!r} cannot be a column. Next: rename it in the events (ASCII letters, digits and underscores, a letter "
            "first), or leave it out of the sample: events may have fields that the contract does not list"
        )
    json_type = _json_type(sample, name)
    values = [value for _, value in sample.values(name)]
    keywords = {}
    if json_type == "string":
        keywords = _text_format(values)
    elif json_type == "integer" and any(value not in BIGINT for value in map(int, values)):
        keywords = {"x-type": "STRING"}  # too large for BIGINT: keep the digits as text
    elif isinstance(values[0], Decimal):
        keywords = _decimal(values)
    column = snake_case(name)
    return {
        "type": json_type if required else [json_type, "null"],
        **({"format": keywords["format"]} if "format" in keywords else {}),
        "description": "",
        **({} if column == name.lower() else {"x-column": column}),
        **({"x-type": keywords["x-type"]} if "x-type" in keywords else {}),
    }


def _json_type(sample: Sample, name: str) -> str:
    """The common type of a field's values; integers mixed with numbers are numbers, and a field without values is text."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for place, value in sample.values(name):
        found.setdefault(_KINDS[type(value)], []).append((place, value))
    if not found:
        return "string"
    if found.keys() <= {"integer", "number"}:
        values = [value for places in found.values() for _, value in places]
        return "integer" if "number" not in found or _are_whole_floats(values, len(sample.rows)) else "number"
    if len(found) == 1:
        return next(iter(found))
    types = "; ".join(
        f"{kind} in {len(places):,} rows, such as {places[0][0]} ({_short(places[0][1])})"
        for kind, places in found.items()
    )
    raise SampleError(
        f"Field {name!r} mixes types: {types}. Next: use one type at the source of the events; or, if some values are mistakes, "
        "remove them from the sample: Silver rejects such events with a reason"
    )


def _are_whole_floats(values: Collection[Any], rows: int) -> bool:
    """Whether integers are written like 517.0, as by tools that represent nullable integers as floats."""
    return (
        0 < len(values) < rows
        and any(type(value) is float for value in values)
        and all(type(value) is int or (type(value) is float and value.is_integer()) for value in values)
    )


def _text_format(texts: Collection[str]) -> dict[str, str]:
    """The format of texts that are all dates or all date-times; with an offset, they are instants."""
    dates = [found for text in texts if (found := iso_8601(text))]
    if not dates or len(dates) < len(texts):
        return {}
    if all(len(text) == len("2024-01-31") for text in texts):
        return {"format": "date"}
    with_offset = sum(1 for found in dates if found["offset"])
    if with_offset == len(texts):
        return {"format": "date-time", "x-type": "TIMESTAMP_LTZ(6)"}
    return {} if with_offset else {"format": "date-time"}


def _decimal(values: Collection[Decimal]) -> dict[str, str]:
    """A decimal type with the values' scale; none if it would leave no room for larger values."""
    scale = max(0, *(-int(value.as_tuple().exponent) for value in values))
    roomy = all(abs(value) < Decimal(10) ** (DIGITS - scale - 2) for value in values)
    return {"x-type": f"DECIMAL({DIGITS}, {scale})"} if roomy else {}


def _years(sample: Sample, time: str, declared: dict[str, Any]) -> tuple[int, int]:
    """First and last year of a field's dates.

    :raises SampleError: the values are not dates
    """
    if declared.get("format") not in ("date", "date-time"):
        place, value = next(sample.values(time))
        raise SampleError(
            f"TIME={time} is not a field of ISO 8601 dates, either all with an offset or all without: {place} has "
            f"{_short(value)}. Next: choose a field with values like 2024-01-31T23:59:59Z, or leave TIME out"
        )
    years = [int(text[:4]) for _, text in sample.values(time)]
    return min(years), max(years)


def _repeats(sample: Sample, names: Sequence[str]) -> int:
    keys = {json.dumps([row.get(name) for name in names], sort_keys=True, default=str) for row in sample.rows}
    return len(sample.rows) - len(keys)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:39]}…"
