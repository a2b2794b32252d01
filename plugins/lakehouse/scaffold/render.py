"""Renders a pipeline's files from `templates/`, which use `[[ ]]` and `[% %]` because they contain Jinja templates."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.pipelines.contract import Contract, Field
from lakehouse.scaffold.infer import Event
from lakehouse.scaffold.sample import Sample

TEMPLATES = Path(__file__).parent / "templates"
DUCKDB_TYPES = {
    "INT": "integer", "STRING": "varchar", "TIMESTAMP(6)": "timestamp", "TIMESTAMP_LTZ(6)": "timestamp with time zone",
}  # fmt: skip


def contract_text(name: str, event: Event) -> str:
    """The contract of a sample's events, with empty descriptions."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": name,
        "description": "",
        "type": "object",
        "properties": event.properties,
        "required": event.required,
        "additionalProperties": True,
    }
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    return re.sub(r'\[\s+"(\w+)",\s+"null"\s+\]', r'["\1", "null"]', text) + "\n"


def render(template: str, **values: Any) -> str:
    """Render a template with these values."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, variable_start_string="[[", variable_end_string="]]", block_start_string="[%",
        block_end_string="%]", comment_start_string="[#", comment_end_string="#]",
    )  # fmt: skip
    environment.filters |= {"sql": sql_name, "yaml": _yaml}
    return environment.get_template(template).render(**values)


def values(
    name: str, sample: Sample, event: Event, contract: Contract, key: list[str], time: str | None
) -> dict[str, Any]:
    """The variables of the templates.

    :param key: fields that identify an event; empty: all fields together
    """
    taken = {column.lower() for column in contract.columns}
    event_key = _free("event_key", taken)
    day = _free("event_date" if time else "processed_date", taken)
    moment = contract[time] if time else None
    first, last = event.years or (1970, 2099)
    numbers = [field for field in contract.fields if field.is_number and field.name not in key]
    return {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "rows": len(sample.rows),
        "complete": sample.complete,
        "event": event,
        "key": [contract[field] for field in key],
        "time": moment,
        "time_from": f"{min(first // 100 * 100, 1970):04}-01-01 00:00:00",
        "time_to": f"{min(max(last // 100 * 100 + 100, 2100), 9999):04}-01-01 00:00:00",
        "event_key": event_key,
        "day": day,
        "occurrence": _free("occurrence", taken),
        "example": (numbers or [field for field in contract.fields if not field.required] or contract.fields)[0],
        "columns": [event_key, *contract.columns, *([day] if time else [])],
        "fact_columns": _fact_columns(contract, event_key, day, bool(time)),
        "measures": [field.column for field in numbers],
        "nullable": [field.column for field in contract.fields if not field.required],
        "required": [
            event_key,
            *(field.column for field in contract.fields if field.required),
            *([day] if time else []),
        ],
        "day_condition": moment and f"{day} = cast({sql_name(moment.column)} as date)",
    }


def sql_name(column: str) -> str:
    """A column name for DuckDB's SQL, quoted if it is a keyword."""
    return f'"{column}"' if column.lower() in _keywords() else column


def _yaml(text: str) -> str:
    """A string for YAML, quoted if it would be parsed as something else."""
    return text if yaml.safe_load(text) == text else json.dumps(text)


@cache
def _keywords() -> frozenset[str]:
    import duckdb

    with duckdb.connect() as connection:
        words = connection.execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'")
        return frozenset(word for (word,) in words.fetchall())


def _free(name: str, taken: set[str]) -> str:
    """A name for a column of the pipeline itself that no field has."""
    return name if name not in taken else _free(f"{name}_", taken)


def _fact_columns(contract: Contract, event_key: str, day: str, with_time: bool) -> list[dict[str, Any]]:
    """Name, DuckDB type and description of the fact's columns."""

    def column(name: str, type_: str, required: bool, description: str = "") -> dict[str, Any]:
        return {"name": name, "type": type_, "required": required, "description": description}

    def of_field(field: Field) -> dict[str, Any]:
        type_ = DUCKDB_TYPES.get(field.type, field.type.lower().replace(" ", ""))
        return column(field.column, type_, field.required)

    day_of = "Day of the event, in UTC." if with_time else "Day on which the Silver job handled the event, in UTC."
    return [
        column(event_key, "varchar", True, "Hash of the fields that identify the event."),
        *map(of_field, contract.fields),
        column(day, "date", True, day_of),
        column("kafka_partition", "integer", True, "Partition of the topic that the event came in."),
        column("kafka_offset", "bigint", True, "Offset of the event in its partition."),
        column("processed_at", "timestamp with time zone", True, "When the Silver job handled the event."),
    ]
