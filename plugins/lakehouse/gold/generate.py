"""Generated parts of the dbt project: each pipeline's source, and the manifest from which Cosmos renders its tasks.

Both are committed, so that the DAG parses anywhere without a build step (a test compares them with the project). dbt's own
manifest is a megabyte of SQL, timestamps and local paths; this one has only what Cosmos needs, one node per line.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowException

from lakehouse.gold.dbt import run_dbt
from lakehouse.gold.manifest import manifest_file
from lakehouse.gold.sources import render_source, source_file
from lakehouse.pipelines.model import Pipeline

KINDS = ("nodes", "sources")
FIELDS = ("unique_id", "resource_type", "package_name", "name", "original_file_path", "fqn", "tags", "freshness")
CONFIG = ("enabled", "materialized", "meta", "tags")


def regenerate(pipeline: Pipeline) -> list[Path]:
    """Write a pipeline's source and manifest, after a change of its declaration, contract or models; return the files.

    :raises AirflowException: dbt cannot parse the models; the message contains dbt's output
    """
    source = source_file(pipeline)
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(render_source(pipeline))
    manifest = manifest_file(pipeline)
    manifest.parent.mkdir(exist_ok=True)
    manifest.write_text(render_manifest(pipeline))
    return [source, manifest]


def render_manifest(pipeline: Pipeline) -> str:
    """The text of the manifest for the current models. Errors as in `regenerate`."""
    with tempfile.TemporaryDirectory() as folder:
        parse = ["--quiet", "parse", "--no-partial-parse", "--target-path", folder]
        done = run_dbt(pipeline, *parse, scratch=Path(folder), capture_output=True, text=True)
        if done.returncode:
            raise AirflowException(
                f"dbt cannot parse include/dbt/models/{pipeline.name}. Next: fix the error\n{done.stdout}{done.stderr}"
            )
        full = json.loads(Path(folder, "manifest.json").read_text())

    kinds = []
    for kind in KINDS:
        shown = {name: node for name, node in full[kind].items() if node["resource_type"] != "operation"}  # dbt's hooks
        nodes = [f"    {json.dumps(name)}: {json.dumps(_slim(node))}" for name, node in sorted(shown.items())]
        kinds.append(f'  "{kind}": {{\n' + ",\n".join(nodes) + "\n  }")
    metadata = {key: full["metadata"][key] for key in ("dbt_schema_version", "project_name", "adapter_type")}
    return f'{{\n  "metadata": {json.dumps(metadata)},\n' + ",\n".join(kinds) + "\n}\n"


def _slim(node: dict[str, Any]) -> dict[str, Any]:
    return {
        **{field: node[field] for field in FIELDS if node.get(field)},
        "config": {key: node["config"][key] for key in CONFIG if node["config"].get(key)},
        "depends_on": {"nodes": sorted(node.get("depends_on", {}).get("nodes", []))},
    }
