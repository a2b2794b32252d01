"""The steps of docs/schema-change.md, taken in a copy of the repository for a field that TLC added in 2025."""

from __future__ import annotations

import json
from pathlib import Path

FIELD = "cbd_congestion_fee"
TYPE = "DECIMAL(10, 2)"


def add_to_contract(include: Path) -> None:
    """The event may carry it."""
    change_contract(
        include, {FIELD: {"type": ["number", "null"], "description": "Congestion relief zone.", "unit": "USD"}}
    )


def change_contract(include: Path, properties: dict[str, dict]) -> None:
    """Give the contract these properties besides, or instead of those of the same name."""
    file = include / "contracts" / "taxi_trip.json"
    contract = json.loads(file.read_text())
    contract["properties"] |= properties
    file.write_text(json.dumps(contract, indent=2))


def add_to_flink(include: Path) -> None:
    """Bronze and Silver get it."""
    last = "    ('Airport_fee', 'airport_fee', 'DECIMAL(10, 2)'),\n"
    _add(include / "sql" / "fields.jinja", last, f"    ('{FIELD}', '{FIELD}', '{TYPE}'),\n")


def add_to_gold(dbt: Path) -> None:
    """The fact gets it."""
    for model in ("staging/stg_trips", "marts/core/fct_trips"):
        _add(dbt / "models" / f"{model}.sql", "    airport_fee,\n", f"    {FIELD},\n")
    description = "description: Congestion relief zone."
    staged = "      - {name: airport_fee, description: Fee for pickups at LaGuardia and JFK.}\n"
    _add(dbt / "models/staging/_staging.yml", staged, f"      - {{name: {FIELD}, {description}}}\n")
    fact = (
        '      - {name: airport_fee, data_type: "decimal(10,2)", description: Fee for pickups at LaGuardia and JFK.}\n'
    )
    _add(
        dbt / "models/marts/core/_core.yml",
        fact,
        f'      - {{name: {FIELD}, data_type: "decimal(10,2)", {description}}}\n',
    )
    _add(dbt / "tests/fct_trips_keeps_staged_values.sql", "airport_fee, ", f"{FIELD}, ")


def add_to_audit(root: Path) -> None:
    """The audit looks at it."""
    _add(root / "plugins/lakehouse/audit/event_fields.py", '    "Airport_fee",\n', f'    "{FIELD}",\n')
    audit = root / "include" / "sql" / "audit"
    _add(audit / "silver.sql", "'congestion_surcharge', 'Airport_fee'", f", '{FIELD}'")
    _add(audit / "silver.sql", "airport_fee, trip_duration_minutes,", f" {FIELD},")
    _add(audit / "gold.sql", "airport_fee, total_amount,", f" {FIELD},")


def _add(file: Path, place: str, what: str) -> None:
    text = file.read_text()
    assert text.count(place) == 1, f"{file} has not got {place!r} once"
    file.write_text(text.replace(place, place + what))
