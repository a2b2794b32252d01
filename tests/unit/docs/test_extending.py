"""The recipes of docs/extending.md, followed in a copy of `include/`; those that need a platform have tests in tests/platform."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from lakehouse.paths import INCLUDE, REPOSITORY
from lakehouse.pipelines import script
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import Pipeline
from lakehouse.streaming.health import rules
from tests.dags import test_docs, test_policy

PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
#: A policy of DAGs that is not about one in particular.
POLICIES = [
    test_policy.test_owner_is_the_platforms,
    test_policy.test_tags_come_from_the_enum,
    test_policy.test_no_catchup_and_one_run_at_a_time,
    test_policy.test_every_task_ends_within_a_limit,
    test_policy.test_long_tasks_use_their_own_pool,
    test_policy.test_scheduled_dags_have_retries,
    test_policy.test_templates_are_strict,
    test_docs.test_it_has_next_steps_for_failures,
    test_docs.test_listed_tasks_exist,
    test_docs.test_every_task_is_listed,
    test_docs.test_listed_params_are_those_of_the_form,
]


def code(section: str, language: str) -> str:
    """The code of that language in a section."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    return textwrap.dedent(re.search(rf"( *)```{language}\n(.*?)\1```", text, re.DOTALL)[2])


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository's `include/`, in which pipelines are rendered."""
    folder = tmp_path / "include"
    shutil.copytree(INCLUDE, folder, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setattr(script, "SQL", folder / "sql")
    return folder


def taxi(include: Path) -> Pipeline:
    declared = declarations(include)
    assert declared.problems == {}
    return declared.pipelines["nyc_taxi"]


def test_a_rule(include):
    file = include / "sql" / "nyc_taxi" / "06-silver.sql"
    before = script.rules_version(taxi(include), taxi(include).stages["silver"])
    file.write_text(file.read_text().replace("SELECT *, CASE\n", f"SELECT *, CASE\n{code('A rule', 'sql')}", 1))
    silver = taxi(include).stages["silver"]

    assert "`passenger_count__parsed` > 8 THEN 'passenger_count is above 8'" in script.stage_script(
        taxi(include), silver
    )
    assert script.rules_version(taxi(include), silver) != before


def test_a_stage(include):
    file = include / "pipelines" / "nyc_taxi.yaml"
    file.write_text(file.read_text().replace("\ngold:", f"\n{textwrap.indent(code('A stage', 'yaml'), '  ')}gold:", 1))
    (include / "sql" / "nyc_taxi" / "07-airports.sql").write_text(code("A stage", "sql"))
    pipeline = taxi(include)
    airports = pipeline.stages["airports"]
    *_, start = script.statements(script.stage_script(pipeline, airports))

    assert pipeline.tables[-2:] == ("silver.airport_trips", "silver.other_trips")
    assert len(script.table_statements(pipeline, airports)) == 2
    assert start.startswith("EXECUTE STATEMENT SET")
    assert start.count("INSERT INTO iceberg_catalog.silver.") == 2


def test_an_alert():
    names = dict(vars(rules))
    exec(code("An alert", "python"), names)
    rule, limits = names["SILENT"], SimpleNamespace(silent_s=60)

    assert rule.evaluate(SimpleNamespace(job="nyc_taxi.silver", commit_age_s=60), limits) is None
    assert rule.evaluate(SimpleNamespace(job="nyc_taxi.silver", commit_age_s=61), limits) == (
        "Flink job nyc_taxi.silver has committed nothing for 61 s (limit 60 s)"
    )


def test_a_dag(tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "row_counts.py").write_text(code("A DAG", "python"))
    bag = DagBag(str(tmp_path))

    assert bag.import_errors == {}
    for policy in POLICIES:
        policy(bag.dags["row_counts"])
