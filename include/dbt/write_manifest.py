"""Writes manifest.json: the graph of the project as Cosmos reads it to draw the tasks, without running dbt.

    python include/dbt/write_manifest.py

It is committed, so that the DAG parses anywhere without a build step (a test compares it with the project). dbt's own
manifest holds a megabyte of SQL, timestamps and paths of the machine; here is what Cosmos needs, one node a line.
"""

import json
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parent
MANIFEST = PROJECT / "manifest.json"
KINDS = ("nodes", "sources")
FIELDS = ("unique_id", "resource_type", "package_name", "name", "original_file_path", "fqn", "tags", "freshness")
CONFIG = ("enabled", "materialized", "meta", "tags")


def render() -> str:
    """The text of manifest.json for the project as it is now."""
    from dbt.cli.main import dbtRunner

    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--quiet", "parse", "--no-partial-parse", "--target-path", folder, "--log-path", folder]
        result = dbtRunner().invoke([*arguments, "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)])
        if not result.success:
            raise RuntimeError(f"dbt parse failed in {PROJECT}: {result.exception}")
        full = json.loads(Path(folder, "manifest.json").read_text())

    kinds = []
    for kind in KINDS:
        shown = {name: node for name, node in full[kind].items() if node["resource_type"] != "operation"}  # dbt's hooks
        nodes = [f"    {json.dumps(name)}: {json.dumps(_slim(node))}" for name, node in sorted(shown.items())]
        kinds.append(f'  "{kind}": {{\n' + ",\n".join(nodes) + "\n  }")
    metadata = {key: full["metadata"][key] for key in ("dbt_schema_version", "project_name", "adapter_type")}
    return f'{{\n  "metadata": {json.dumps(metadata)},\n' + ",\n".join(kinds) + "\n}\n"


def _slim(node: dict) -> dict:
    return {
        **{field: node[field] for field in FIELDS if node.get(field)},
        "config": {key: node["config"][key] for key in CONFIG if node["config"].get(key)},
        "depends_on": {"nodes": sorted(node.get("depends_on", {}).get("nodes", []))},
    }


if __name__ == "__main__":
    MANIFEST.write_text(render())
