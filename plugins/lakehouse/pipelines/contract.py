"""The contract of a pipeline's events: a JSON Schema in `include/contracts/`, the only list of an event's fields.

Two extension keywords of a property define its column in Silver: `x-column` is the column's name, `x-type` its SQL type. The
defaults are the name in lower case, and a type derived from the JSON type.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
TYPES = ("INT", "BIGINT", "DOUBLE", "DECIMAL(p, s)", "BOOLEAN", "STRING", "DATE", "TIMESTAMP(6)", "TIMESTAMP_LTZ(6)")
#: JSON type, with its format if that matters -> type in Silver. A structure stays JSON text.
DEFAULT_TYPES = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "string": "STRING",
    "string date": "DATE",
    "string date-time": "TIMESTAMP(6)",
    "object": "STRING",
    "array": "STRING",
}
#: Suffix of the name of a field's parsed value in SQL (`macros/fields.jinja`).
PARSED = "__parsed"
#: Columns that the platform itself adds to its tables.
RESERVED = frozenset(
    (
        "kafka_partition",
        "kafka_offset",
        "ingested_at",
        "processed_at",
        "mends",
        "payload",
        "reason",
        "digest",
        "is_event",
        "rules_version",
    )
)


class ContractError(ValueError):
    """An invalid contract; the message names the property and the next step."""


@dataclass(frozen=True)
class Field:
    """One field of an event.

    :param name: in the event, and of its text column in the first stage's table
    :param column: its column in typed tables
    :param type: its SQL type in typed tables, one of `TYPES`
    :param json_type: its JSON Schema type other than null
    :param nullable: whether it may be null
    :param required: whether it must be present
    """

    name: str
    column: str
    type: str
    json_type: str
    nullable: bool
    required: bool
    description: str = ""
    unit: str = ""

    @property
    def is_number(self) -> bool:
        """Whether its SQL type is numeric."""
        return self.type in ("INT", "BIGINT", "DOUBLE") or self.type.startswith("DECIMAL")

    @property
    def limit(self) -> Decimal | None:
        """For a DECIMAL, numbers whose absolute value is below this limit fit after rounding half up; None for other types."""
        if found := DECIMAL.fullmatch(self.type):
            precision, scale = map(int, found.groups())
            return Decimal(10) ** (precision - scale) - Decimal(5).scaleb(-scale - 1)
        return None


@dataclass(frozen=True)
class Contract:
    """The fields of an event, in the contract's order.

    :param text: the JSON Schema, as it is registered
    """

    name: str
    text: str
    fields: tuple[Field, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The fields' names in the event."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The fields' columns in typed tables."""
        return tuple(field.column for field in self.fields)

    def __getitem__(self, name: str) -> Field:
        """The field with this name in the event.

        :raises ContractError: there is no such field
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise ContractError(f"{self.name} has no field {name!r}. Next: choose one of {', '.join(self.names)}")


def read_contract(file: Path) -> Contract:
    """Read a contract.

    :raises ContractError: it cannot be read, is not a JSON Schema of an object, or a property cannot be a column
    """
    try:
        text = file.read_text()
        schema = json.loads(text)
    except (OSError, ValueError) as error:
        raise ContractError(f"{file.name} cannot be read: {error}. Next: write a JSON Schema there") from error
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or not properties:
        raise ContractError(f"{file.name} has no properties. Next: list the event's fields under `properties`")
    required = schema.get("required", [])
    fields = tuple(_field(file.name, name, found, name in required) for name, found in properties.items())
    if unknown := sorted(set(required) - set(properties)):
        raise ContractError(
            f"{file.name}: required: {unknown[0]!r} is not a property. Next: add the property, or remove it from `required`"
        )
    for kind in ("name", "column"):
        seen: dict[str, str] = {}
        for field in fields:
            key = getattr(field, kind).lower()
            if key in seen:
                raise ContractError(
                    f"{file.name}: properties.{field.name}: {kind} {getattr(field, kind)!r} is also that of {seen[key]} (upper "
                    "and lower case do not differ). Next: give it another `x-column`, or rename the field"
                )
            seen[key] = field.name
    return Contract(file.name, text, fields)


def _field(file: str, name: str, declared: Any, required: bool) -> Field:
    where = f"{file}: properties.{name}"
    if not isinstance(declared, dict):
        raise ContractError(f"{where} is not a JSON Schema. Next: write at least its `type`")
    types = declared.get("type", "string")
    types = [types] if isinstance(types, str) else list(types)
    plain = [found for found in types if found != "null"]
    if len(plain) != 1 or plain[0] not in DEFAULT_TYPES:
        raise ContractError(
            f"{where}.type is {declared.get('type')!r}. Next: use one of {', '.join(n for n in DEFAULT_TYPES if ' ' not in n)}; "
            "in a list with null, if the field may be null"
        )
    json_type = plain[0]
    with_format = f"{json_type} {declared.get('format', '')}"
    column = declared.get("x-column", name.lower())
    type_ = declared.get("x-type") or DEFAULT_TYPES.get(with_format) or DEFAULT_TYPES[json_type]
    for what, text in (("name", name), ("x-column", column)):
        if not isinstance(text, str) or not NAME.fullmatch(text):
            raise ContractError(
                f"{where}: {what} {text!r} cannot be a column. Next: use letters, digits and underscores, a letter first"
            )
        if text.lower() in RESERVED or text.lower().endswith(PARSED):
            raise ContractError(f"{where}: {what} {text!r} is reserved by the platform. Next: choose another name")
    if type_ not in TYPES and not DECIMAL.fullmatch(type_):
        raise ContractError(f"{where}: x-type {type_!r} is unknown. Next: choose one of {', '.join(TYPES)}")
    return Field(
        name,
        column,
        type_,
        json_type,
        "null" in types,
        required,
        declared.get("description", ""),
        declared.get("unit", ""),
    )
