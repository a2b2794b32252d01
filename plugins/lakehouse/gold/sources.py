"""A pipeline's dbt source, `_sources.yml`, rendered from the declaration and the contract."""

from __future__ import annotations

from pathlib import Path

import yaml

from lakehouse.paths import DBT
from lakehouse.pipelines.load import gold_of
from lakehouse.pipelines.model import Pipeline

HEADER = """\
# Written by `make regenerate PIPELINE={name}` from include/pipelines/{name}.yaml and include/contracts/{contract}: change those.
"""
DESCRIPTION = """\
{title}: a table that Flink keeps up to date, append-only. A run reads one version of it, pinned by the metadata file in \
$LAKEHOUSE_SOURCE_METADATA. Listed are the columns that the contract gives. No tests here: each would read the whole table; the \
staging model carries them for the rows that are new."""
#: Columns of every table of the platform.
POSITION = (
    ("kafka_partition", "INT", "Partition of the topic that the event came in."),
    ("kafka_offset", "BIGINT", "Offset of the event in its partition."),
)


def source_file(pipeline: Pipeline) -> Path:
    """Path of a pipeline's `_sources.yml`."""
    return DBT / "models" / pipeline.name / "staging" / "_sources.yml"


def render_source(pipeline: Pipeline) -> str:
    """The text of `_sources.yml`. The pipeline must have Gold."""
    namespace, _, table = gold_of(pipeline).source.partition(".")
    columns = [{"name": name, "data_type": type_, "description": text} for name, type_, text in _columns(pipeline)]
    source = {
        "name": namespace,
        "tables": [
            {
                "name": table,
                "description": DESCRIPTION.format(title=pipeline.title),
                "config": {"external_location": "iceberg_scan(getvariable('source_metadata'))"},
                "columns": columns,
            }
        ],
    }
    text = yaml.safe_dump({"sources": [source]}, sort_keys=False, allow_unicode=True, width=118)
    return HEADER.format(name=pipeline.name, contract=pipeline.topic.contract) + text


def _columns(pipeline: Pipeline) -> list[tuple[str, str, str]]:
    """Name, type and description of the columns: text in a table that is filled from the topic, typed in others."""
    as_text = pipeline.writer(gold_of(pipeline).source).reads_topic
    fields = [
        (
            field.name if as_text else field.column,
            "STRING" if as_text else field.type,
            " ".join(filter(None, [field.description, field.unit and f"Unit: {field.unit}."])),
        )
        for field in pipeline.contract.fields
    ]
    return [*fields, *POSITION]
