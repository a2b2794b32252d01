"""Promises of the dbt project to its readers, and to readers of the Gold file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from lakehouse.gold.generate import render_manifest
from lakehouse.gold.manifest import manifest_file
from lakehouse.gold.sources import render_source, source_file
from lakehouse.paths import DBT
from lakehouse.pipelines.load import enabled_pipelines
from tests.gold.gold import Dbt

WITH_GOLD = [pipeline for pipeline in enabled_pipelines() if pipeline.gold]


@pytest.fixture(scope="module")
def models(dbt: Dbt) -> list[dict[str, Any]]:
    return [node for node in dbt.manifest["nodes"].values() if node["resource_type"] == "model"]


@pytest.fixture(scope="module")
def marts(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [model for model in models if model["path"].startswith("marts/")]


@pytest.mark.parametrize("pipeline", WITH_GOLD, ids=lambda pipeline: pipeline.name)
def test_generated_files_are_current(pipeline):
    again = f"run `make regenerate PIPELINE={pipeline.name}`"
    assert source_file(pipeline).read_text() == render_source(pipeline), again
    assert manifest_file(pipeline).read_text() == render_manifest(pipeline), again


def test_number_of_models_and_tests(dbt, models):
    kinds = Counter(node["resource_type"] for node in dbt.manifest["nodes"].values())

    assert len(models) >= 15
    assert kinds["test"] + len(dbt.manifest["unit_tests"]) >= 91


def test_every_column_is_documented(models, built):
    names = {model["name"] for model in models}
    columns = built.query("select table_name, column_name from information_schema.columns")
    documented = {(m["name"], name) for m in models for name, column in m["columns"].items() if column["description"]}

    assert documented ^ {(model, name) for model, name in columns if model in names} == set()
    assert [model["name"] for model in models if not model["description"]] == []


def test_the_gold_file_conforms_to_the_contracts(marts, built):
    declared = {
        (mart["name"], name, column["data_type"].upper(), "NO" if column["constraints"] else "YES")
        for mart in marts
        for name, column in mart["columns"].items()
    }
    columns = "select table_name, column_name, data_type, is_nullable from information_schema.columns"

    assert {mart["name"] for mart in marts if not mart["contract"]["enforced"]} == set()
    assert set(built.query(f"{columns} where table_schema = 'main'")) == declared


def test_readers_find_the_marts_with_descriptions(marts, built):
    tables = built.query("select table_name, comment from duckdb_tables() where schema_name = 'main'")
    columns = "select column_name from duckdb_columns() where schema_name = 'main' and not internal and comment is null"

    assert dict(tables) == {mart["name"]: mart["description"] for mart in marts}
    assert built.query(columns) == []


def test_exposures_list_all_marts(dbt, marts):
    read = [set(exposure["depends_on"]["nodes"]) for exposure in dbt.manifest["exposures"].values()]

    assert read
    assert all(read)
    assert set().union(*read) <= {mart["unique_id"] for mart in marts}


def test_no_package_is_used(dbt):
    parts = [*dbt.manifest["nodes"].values(), *dbt.manifest["macros"].values()]

    assert {part["package_name"] for part in parts} == {"lakehouse", "dbt", "dbt_duckdb"}


def test_dbt_without_the_environment_says_how_to_get_it(tmp_path):
    """As somebody types it in include/dbt."""
    command = [f"{sys.prefix}/bin/dbt", "--log-path", str(tmp_path), "ls", "--target-path", str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    run = subprocess.run(command, cwd=DBT, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode != 0
    assert 'LAKEHOUSE_PIPELINE. Next, in the repository: eval "$(make -s env)"' in run.stdout
