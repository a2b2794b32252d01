"""pydantic's validation errors for people: key, value and fix, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


def reasons(error: ValidationError) -> str:
    """All validation errors in one line."""
    return "; ".join(map(_reason, error.errors()))


def _reason(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key. Next: remove it, or correct its name"
        case "missing":
            return f"{key} is missing. Next: add it"
        case "value_error":
            return ": ".join(filter(None, [key, str(error["ctx"]["error"])]))
        case "string_pattern_mismatch":
            return f"{key}: {error['input']!r} does not match {error['ctx']['pattern']}. Next: choose another name"
    return ": ".join(filter(None, [key, repr(error["input"]), f"{error['msg']}. Next: correct the value"]))
