"""The steps of docs/schema-change.md in a copy of the repository, for a field that TLC added in 2025."""

from __future__ import annotations

import json
from pathlib import Path

FIELD = "cbd_congestion_fee"
DESCRIPTION = "Congestion relief zone."
PROPERTY = {"type": ["number", "null"], "description": DESCRIPTION, "unit": "USD", "x-type": "DECIMAL(10, 2)"}


def add_to_contract(include: Path) -> None:
    """Add the field to the contract, from which Bronze, Silver and the audit are derived."""
    change_contract(include, {FIELD: PROPERTY})


def change_contract(include: Path, properties: dict[str, dict]) -> None:
    """Add properties to the contract, or replace those with the same name."""
    file = include / "contracts" / "nyc_taxi.json"
    contract = json.loads(file.read_text())
    contract["properties"] |= properties
    file.write_text(json.dumps(contract, indent=2))


def add_to_gold(dbt: Path) -> None:
    """Add the field to the fact."""
    models = dbt / "models" / "nyc_taxi"
    for model in ("staging/stg_trips", "marts/core/fct_trips"):
        _add(models / f"{model}.sql", "    airport_fee,\n", f"    {FIELD},\n")
    staged = "      - {name: airport_fee, description: Fee for pickups at LaGuardia and JFK.}\n"
    _add(models / "staging/_staging.yml", staged, f"      - {{name: {FIELD}, description: {DESCRIPTION}}}\n")
    fact = (
        '      - {name: airport_fee, data_type: "decimal(10,2)", description: Fee for pickups at LaGuardia and JFK.}\n'
    )
    _add(
        models / "marts/core/_core.yml",
        fact,
        f'      - {{name: {FIELD}, data_type: "decimal(10,2)", description: {DESCRIPTION}}}\n',
    )


def _add(file: Path, place: str, what: str) -> None:
    text = file.read_text()
    assert text.count(place) == 1, f"{file} has not got {place!r} once"
    file.write_text(text.replace(place, place + what))
