"""Each model's task shows dbt's result for that model: checked with the artifacts of a real `dbt build`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from lakehouse.gold.tasks import DbtModelResult, problems_by_model, report_build

FILES = {
    "dbt_project.yml": "{name: mini, profile: mini, models: {+materialized: table}, on-run-end: [select 1]}",
    "profiles.yml": "mini: {target: dev, outputs: {dev: {type: duckdb, path: ':memory:'}}}",
    "models/clean.sql": "select 1 as id",
    "models/base.sql": "select 1 as id union all select 2 union all select null",
    "models/top.sql": "select if(id = 2, null, id) as id from {{ ref('base') }} where id is not null",
    "models/broken.sql": "select error('no luck') as id",
    "models/below.sql": "select * from {{ ref('broken') }}",
    "models/computed.sql": "select id + 1 as id from {{ ref('clean') }}",
    "tests/base_and_top.sql": "select 1 from {{ ref('base') }}, {{ ref('top') }}",
    "models/models.yml": """\
        models:
          - {name: clean, columns: [{name: id, data_tests: [unique]}]}
          - {name: top, columns: [{name: id, data_tests: [not_null, unique]}]}
          - name: base
            columns:
              - name: id
                data_tests:
                  - not_null: {config: {severity: warn}}
                  - relationships: {arguments: {to: ref('top'), field: id}}
        unit_tests:
          - name: adds_two
            model: computed
            given: [{input: ref('clean'), rows: [{id: 1}]}]
            expect: {rows: [{id: 3}]}
    """,
}


class TaskInstance:
    """Keeps XComs as Airflow would, through JSON."""

    def __init__(self) -> None:
        self.pushed: dict[str, str] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.dumps(value)

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return json.loads(self.pushed[key]) if task_ids == "gold.dbt_build" and key in self.pushed else None


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that dbt has built, with one problem of each kind."""
    folder = tmp_path_factory.mktemp("mini")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(dedent(text))
    dbt = [str(Path(sys.executable).with_name("dbt")), "build", "--project-dir", ".", "--profiles-dir", "."]
    run = subprocess.run(dbt, cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1, run.stdout[-3000:] + run.stderr[-3000:]  # 1: it ran, and something failed
    return folder


@pytest.fixture(scope="module")
def problems(project: Path) -> dict[str, list[str]]:
    """Model name -> its problems."""
    manifest = json.loads((project / "target" / "manifest.json").read_text())
    results = json.loads((project / "target" / "run_results.json").read_text())["results"]
    found = problems_by_model(manifest["nodes"] | manifest["unit_tests"], results)
    return {model.removeprefix("model.mini."): problems for model, problems in found.items()}


def test_every_model_of_the_run_is_reported(problems):
    assert sorted(problems) == ["base", "below", "broken", "clean", "computed", "top"]
    assert problems["clean"] == []


def test_a_model_that_dbt_cannot_build(problems):
    [problem] = problems["broken"]
    assert problem.startswith("error: ")
    assert "no luck" in problem
    assert problems["below"] == ["skipped: an upstream model failed"]


def test_a_failed_test_counts_for_the_model_it_is_declared_on_and_a_warning_does_not(problems):
    [problem] = problems["base"]
    assert problem.startswith("test relationships_base_id__id__ref_top_: fail: Got 1 result")


def test_a_test_of_several_models_counts_for_the_last(problems):
    assert sorted(problem.split(":")[0] for problem in problems["top"]) == ["test base_and_top", "test not_null_top_id"]


def test_a_unit_test_counts_for_its_model(problems):
    assert [problem.split(":")[0] for problem in sorted(problems["computed"])] == ["skipped", "test adds_two"]


@pytest.fixture
def reported(project: Path) -> TaskInstance:
    """The build's task after its report."""
    instance = TaskInstance()
    with pytest.raises(AirflowFailException, match=r"^5 of 14 dbt nodes failed:\n") as error:
        report_build(str(project), {"ti": instance})
    assert "test.mini.base_and_top: fail: Got 6 results" in str(error.value)
    assert "model.mini.below" not in str(error.value)  # skipped models are not failures
    return instance


def show(model: str, instance: TaskInstance) -> None:
    task = DbtModelResult(task_id=model, model=f"model.mini.{model}", build_task_id="gold.dbt_build")
    task.execute({"ti": instance})


def test_a_models_task_has_the_models_result(reported):
    show("clean", reported)
    with pytest.raises(AirflowFailException, match=r"(?s)^model\.mini\.broken\nerror: .*no luck.*clear `prepare`"):
        show("broken", reported)


def test_a_model_without_a_report_was_not_built(reported):
    for model, instance in (("unheard_of", reported), ("clean", TaskInstance())):
        with pytest.raises(AirflowFailException, match=rf"{model} was not built: see the log of gold\.dbt_build"):
            show(model, instance)


def test_dbt_that_stopped_before_it_ran_anything_reports_nothing(tmp_path):
    instance = TaskInstance()
    report_build(str(tmp_path), {"ti": instance})
    assert instance.pushed == {}


def test_a_build_without_a_failure_is_a_success(project, tmp_path):
    """The same output, reduced to the nodes that succeeded."""
    (tmp_path / "target").mkdir()
    manifest, results = (
        json.loads((project / "target" / f"{name}.json").read_text()) for name in ("manifest", "run_results")
    )
    results["results"] = [result for result in results["results"] if result["status"] in ("success", "pass", "warn")]
    (tmp_path / "target" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "target" / "run_results.json").write_text(json.dumps(results))
    instance = TaskInstance()
    report_build(str(tmp_path), {"ti": instance})
    assert set(map(str, json.loads(instance.pushed["problems"]).values())) == {"[]"}
