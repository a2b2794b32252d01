"""A second pipeline, with other names and types."""

from __future__ import annotations

from typing import Any


def rides(name: str = "rides", **changes: Any) -> dict[str, Any]:
    """A valid declaration, with a test's changes."""
    declared = {
        "title": "Rides",
        "topic": {"name": f"{name}.events", "contract": "rides.json"},
        "stages": {
            "raw": {
                "sql": "05-bronze.sql",
                "source": "topic",
                "sinks": {"accepted": f"bronze.{name}", "rejected": f"bronze.{name}_rejected"},
            },
            "typed": {
                "sql": "rides/typed.sql",
                "source": f"bronze.{name}",
                "sinks": {"accepted": f"silver.{name}", "rejected": f"silver.{name}_rejected"},
            },
        },
        "gold": {"fact": "fct_rides", "source": f"silver.{name}"},
    }
    return {**declared, **changes}


CONTRACT = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "Fare": {"type": ["number", "null"], "x-type": "DECIMAL(8, 2)"}},
    "required": ["id"],
}
