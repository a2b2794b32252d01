"""Importing a DAG file is clean, cheap and without side effects."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import median

import pytest
from airflow.utils.file import list_py_file_paths

from tests.dags.files import DAG_IDS

ROOT = Path(__file__).parents[2]
HEAVY = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["flake8-tidy-imports"][
    "banned-module-level-imports"
]


@pytest.fixture(scope="module")
def parsed(dag_files) -> dict[str, dict]:
    """The results of parsing each DAG file without a database, network or secrets."""
    env = {
        **os.environ,
        "AIRFLOW__SECRETS__BACKEND": "refusal.NoSecrets",
        "AIRFLOW__WORKERS__SECRETS_BACKEND": "refusal.NoSecrets",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    command = [sys.executable, "-W", "always", str(Path(__file__).with_name("parse.py")), *map(str, dag_files)]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_there_are_dags(dag_files):
    """Without DAGs, the other tests would test nothing."""
    assert dag_files


def test_file_imports(dag_file, parsed):
    assert parsed[str(dag_file)]["errors"] == []


def test_a_file_defines_one_dag_with_its_name_or_one_per_pipeline(dag_file, parsed):
    assert parsed[str(dag_file)]["dags"] == DAG_IDS[dag_file]


def test_each_dag_is_defined_by_one_file(parsed):
    made = [dag_id for found in parsed.values() for dag_id in found["dags"]]
    assert sorted(made) == sorted(set(made))
    assert "nyc_taxi_pipeline" in made


def test_import_has_no_warnings(dag_file, parsed):
    assert parsed[str(dag_file)]["warnings"] == []


def test_import_reads_no_secret_and_uses_no_network(dag_file, parsed):
    assert parsed[str(dag_file)]["refused"] == []


def test_import_is_cheap(dag_file, parsed):
    """Only DAGs with tasks of Cosmos or Docker may import these, and none may import what Cosmos runs."""
    operators = parsed[str(dag_file)]["operators"]
    drawn = {"cosmos": "cosmos.", "docker": "airflow.providers.docker."}
    used = {name for name, package in drawn.items() if any(module.startswith(package) for module in operators)}
    heavy = tuple(f"{name}." for name in HEAVY if name not in used)
    assert [name for name in parsed[str(dag_file)]["modules"] if f"{name}.".startswith(heavy)] == []


def test_import_is_quick(dag_file, parsed):
    """Measured as CPU time, which other processes do not affect: 0.7 s at most were observed."""
    assert parsed[str(dag_file)]["cpu_s"] < 5


def test_files_are_short(dag_file):
    assert len(dag_file.read_text().splitlines()) <= 250


def test_most_files_are_shorter_still(dag_files):
    assert median(len(file.read_text().splitlines()) for file in dag_files) <= 110


def test_airflow_imports_no_module_of_ours_as_a_plugin():
    """It imports each file of the plugins folder that is not in `.airflowignore`, with its bare name and as a script."""
    scanned = map(Path, list_py_file_paths(ROOT / "plugins", safe_mode=False))
    assert [str(file.relative_to(ROOT)) for file in scanned if "AirflowPlugin" not in file.read_text()] == []
