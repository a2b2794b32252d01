"""An invalid declaration does not affect other pipelines: it is an import error, and the others have their DAGs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dags.files import FILE_OF

ROOT = Path(__file__).parents[2]
SECOND = """\
title: A second pipeline
topic: {name: second.events, contract: second.json}
stages:
  raw:
    sql: 05-bronze.sql
    source: topic
    sinks: {accepted: bronze.second_events, rejected: bronze.second_rejects}
gold: {fact: fct_events, source: bronze.second_events, every: 1h}
"""
CONTRACT = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
MODEL = {"unique_id": "model.lakehouse.fct_events", "resource_type": "model", "package_name": "lakehouse"} | {
    "name": "fct_events",
    "original_file_path": "models/second/marts/core/fct_events.sql",
    "fqn": ["lakehouse", "marts", "core", "fct_events"],
    "config": {"enabled": True, "materialized": "table"},
    "depends_on": {"nodes": []},
}
PRINT = """
import json
from collections import defaultdict
from airflow.dag_processing.dagbag import DagBag
from lakehouse.airflow import settings
bag = DagBag("dags")
schedules = {name: dag.schedule.expression for name, dag in bag.dags.items() if name.endswith("_pipeline")}
errors = {path.rpartition("/")[2]: text for path, text in bag.import_errors.items()}
slots = settings.load(environment=defaultdict(lambda: "1")).pools["dbt"]["slots"]
print(json.dumps({"dags": sorted(bag.dags), "schedules": schedules, "errors": errors, "slots": slots}))
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the files that Airflow reads, with a second pipeline."""
    for folder in ("dags", "plugins", "include"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "airflow_settings.yaml", tmp_path)
    include = tmp_path / "include"
    (include / "pipelines" / "second.yaml").write_text(SECOND)
    (include / "contracts" / "second.json").write_text(json.dumps(CONTRACT))
    (include / "dbt" / "models" / "second").mkdir()
    manifest = {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "project_name": "lakehouse",
        },
        "nodes": {MODEL["unique_id"]: MODEL},
        "sources": {},
    }
    (include / "dbt" / "manifests" / "second.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.fixture
def parse(repository: Path) -> Callable[[], dict]:
    """Parse the copy with Airflow."""

    def parse() -> dict:
        env = {**os.environ, "PYTHONPATH": str(repository / "plugins"), "AIRFLOW__CORE__DAGS_FOLDER": "dags"}
        env["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(repository / "plugins")
        command = [sys.executable, "-c", PRINT]
        done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return parse


def test_each_pipeline_has_a_dag_and_a_slot_for_builds(parse):
    found = parse()
    assert found["errors"] == {}
    assert found["slots"] == 2
    assert found["schedules"] == {"nyc_taxi_pipeline": "*/10 * * * *", "second_pipeline": "0 */1 * * *"}


def test_a_disabled_pipeline_has_no_dag(repository, parse):
    (repository / "include" / "pipelines" / "second.yaml").write_text(f"enabled: false\n{SECOND}")
    found = parse()
    assert found["errors"] == {}
    assert found["slots"] == 1
    assert found["schedules"].keys() == {"nyc_taxi_pipeline"}


def test_invalid_declarations_are_listed_and_the_others_run(repository, parse):
    pipelines, manifests = repository / "include" / "pipelines", repository / "include" / "dbt" / "manifests"
    (pipelines / "second.yaml").write_text(SECOND.replace("source: topic", "sauce: topic"))
    (pipelines / "third.yaml").write_text("title: [")
    for name in ("fourth", "fifth", "sixth"):
        (pipelines / f"{name}.yaml").write_text(SECOND.replace("second", name).replace(f"{name}.json", "second.json"))
        (repository / "include" / "dbt" / "models" / name).mkdir()
    (manifests / "fifth.json").write_text("{")
    (manifests / "sixth.json").write_text('{"nodes": {}}')

    found = parse()

    assert found["dags"] == sorted(FILE_OF)
    assert found["errors"].keys() == {"broken_declarations.py"}
    lines = [line for line in found["errors"]["broken_declarations.py"].splitlines() if ".yaml: " in line]
    message = {line.partition(":")[0]: line.partition(": ")[2] for line in lines}
    assert message.keys() == {f"{name}.yaml" for name in ("second", "third", "fourth", "fifth", "sixth")}
    assert all("Next: " in text for text in message.values())
    assert message["fourth.yaml"].startswith("gold: include/dbt/manifests/fourth.json does not exist")
    assert message["fifth.yaml"].startswith("gold: include/dbt/manifests/fifth.json is not a manifest")
    assert message["sixth.yaml"].startswith("gold.fact: there is no model 'fct_events'")
