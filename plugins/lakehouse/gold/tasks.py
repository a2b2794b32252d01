"""Gold as an Airflow task group: one dbt process does the work, and each dbt model has a task that shows its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from lakehouse.alerting.notifier import AlertNotifier
from lakehouse.gold.manifest import manifest_file
from lakehouse.paths import DBT
from lakehouse.pipelines.model import Pipeline

if TYPE_CHECKING:
    from airflow.sdk import Context, TaskGroup
    from cosmos.dbt.graph import DbtNode

BUILD = "dbt_build"
FAILED = {"error", "fail", "runtime error"}


def gold_task_group(group_id: str, pipeline: Pipeline, env: dict[str, str]) -> TaskGroup:
    """Return the task group `dbt_build -> models` of a pipeline, rendered by Cosmos from its manifest.

    DuckDB allows one writer, so a single `dbt build` (seeds, models and tests) in the pool `dbt` builds the whole pipeline.
    The models' tasks do not run dbt: they read its results, so that retrying or clearing them is harmless. A root model also
    runs after a failed build, to show whether it was the one that failed. The build must stay its only upstream task: with a
    single upstream, ONE_DONE means that it ran, so a build that never started does not start any model.
    """
    # Cosmos takes 0.4 s to import: only the DAG that needs it pays for that.
    from cosmos import DbtTaskGroup, ExecutionConfig, LoadMode, ProfileConfig, ProjectConfig, RenderConfig, settings
    from cosmos.constants import DbtResourceType, ExecutionMode, InvocationMode, SeedRenderingBehavior, TestBehavior
    from cosmos.operators.local import DbtBuildLocalOperator

    profile = ProfileConfig(profile_name="lakehouse", target_name="gold", profiles_yml_filepath=DBT / "profiles.yml")

    failed = AlertNotifier("failure", rule="dbt-failed", until=f"{group_id}.{BUILD}")  # one alert for all models

    def model_task(node: DbtNode, task_group: TaskGroup, **_: Any) -> DbtModelResult:
        return DbtModelResult(
            task_id=node.name,
            task_group=task_group,
            model=node.unique_id,
            build_task_id=f"{group_id}.{BUILD}",
            on_failure_callback=failed,
        )

    group = DbtTaskGroup(
        group_id=group_id,
        project_config=ProjectConfig(
            dbt_project_path=DBT, manifest_path=manifest_file(pipeline), install_dbt_deps=False
        ),
        profile_config=profile,
        execution_config=ExecutionConfig(execution_mode=ExecutionMode.LOCAL),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.NONE,  # a model's tests are part of its task: see `report_build`
            seed_rendering_behavior=SeedRenderingBehavior.NONE,
            node_converters={DbtResourceType.MODEL: model_task},
            emit_datasets=False,
        ),
    )
    roots = list(group.get_roots())
    build = DbtBuildLocalOperator(
        task_id=BUILD,
        task_group=group,
        project_dir=str(DBT),
        profile_config=profile,
        env={"LAKEHOUSE_PIPELINE": pipeline.name, **env},
        append_env=True,
        pool="dbt",
        invocation_mode=InvocationMode.SUBPROCESS,  # in Airflow's process, dbt would keep the Gold file open
        dbt_cmd_flags=[
            "--exclude-resource-type",
            "unit_test",
        ],  # they test the code, not the data: `make test` runs them
        cache_dir=settings.cache_dir
        / pipeline.dag_id
        / group_id,  # Cosmos' cache of dbt's partial parsing, which saves 4 s
        callback=report_build,
        on_failure_callback=failed,
        install_deps=False,
        emit_datasets=False,
        should_store_compiled_sql=False,
    )
    for root in roots:
        root.trigger_rule = TriggerRule.ONE_DONE
    build >> roots
    return group


def report_build(project_dir: str, context: Context) -> None:
    """Push the problems of this `dbt build` by model; fail without a retry if there are any.

    Cosmos calls it after dbt, whether or not dbt succeeded. A failed test would fail again, so only a build without a report
    (a killed process, an unreadable source) is worth a retry.
    """
    target = Path(project_dir) / "target"
    if not (target / "run_results.json").exists():
        return  # dbt stopped before it ran anything; Cosmos raises its error
    manifest = json.loads((target / "manifest.json").read_text())
    results = json.loads((target / "run_results.json").read_text())["results"]
    problems = problems_by_model({**manifest["nodes"], **manifest["unit_tests"]}, results)
    context["ti"].xcom_push(key="problems", value=problems)
    failed = [f"{r['unique_id']}: {r['status']}: {r['message']}" for r in results if r["status"] in FAILED]
    if failed:
        raise AirflowFailException("\n".join([f"{len(failed)} of {len(results)} dbt nodes failed:", *failed]))


def problems_by_model(nodes: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the problems of each model of the run and of its tests (an empty list if there are none).

    A test of several models is attributed to the one it is declared on, or else to the one that was built last.
    """
    models = [r["unique_id"] for r in results if r["unique_id"].startswith("model.")]
    problems: dict[str, list[str]] = {model: [] for model in models}
    for result in results:
        kind, status = result["unique_id"].split(".")[0], result["status"]
        if kind == "model" and status in FAILED | {"skipped"}:
            problems[result["unique_id"]].append(f"{status}: {result['message'] or 'an upstream model failed'}")
        elif kind in ("test", "unit_test") and status in FAILED:
            node = nodes[result["unique_id"]]
            tested = node.get("attached_node") or max(
                (model for model in node["depends_on"]["nodes"] if model in problems), key=models.index, default=None
            )
            if tested in problems:
                problems[tested].append(f"test {node['name']}: {status}: {result['message']}")
    return problems


class DbtModelResult(BaseOperator):
    """Succeeds or fails as one model and its tests did in the run's `dbt build`."""

    ui_color = "#8194E0"

    def __init__(self, *, model: str, build_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.build_task_id = build_task_id

    def execute(self, context: Context) -> None:
        """Fail with dbt's messages about this model; to run it again, the build must be cleared."""
        problems = context["ti"].xcom_pull(task_ids=self.build_task_id, key="problems") or {}
        if self.model not in problems:
            raise AirflowFailException(f"{self.model} was not built: see the log of {self.build_task_id}")
        if problems[self.model]:
            raise AirflowFailException(
                "\n".join(
                    [self.model, *problems[self.model], "Next: fix it, then clear `prepare` with its downstream tasks"]
                )
            )
