"""dbt from a shell. Like a run of the pipeline's DAG, each command works on its own Gold file, so that they never interfere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from lakehouse.gold import file as gold_file
from lakehouse.paths import DBT
from lakehouse.pipelines.model import Pipeline


def run_dbt(
    pipeline: Pipeline, *command: str, scratch: Path, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run dbt on a pipeline's models.

    :param scratch: folder for dbt's log
    :param env: environment that `prepare` returned, for a command that opens the Gold file
    :param options: for `subprocess.run`
    """
    dbt = shutil.which("dbt") or f"{Path(sys.prefix)}/bin/dbt"
    folders = ["--project-dir", str(DBT), "--profiles-dir", str(DBT)]
    environment = {**os.environ, "LAKEHOUSE_PIPELINE": pipeline.name, **(env or {})}
    return subprocess.run([dbt, "--log-path", str(scratch), *command, *folders], env=environment, **options)


def deps(pipeline: Pipeline) -> int:
    """Run `dbt deps`, which has nothing to install: the project uses no packages."""
    return run_dbt(pipeline, "deps", scratch=gold_file.published_file(pipeline).parent).returncode


def build(pipeline: Pipeline) -> int:
    """Build and test Gold from the current version of its source, and publish the file if everything passed."""
    env = _prepare(pipeline)
    if failed := _run(pipeline, env, "build"):
        return failed
    print(gold_file.publish(pipeline, env))
    return 0


def test(pipeline: Pipeline) -> int:
    """Run every test on a copy of the published Gold file."""
    env = _prepare(pipeline, copy=True)
    if failed := _run(pipeline, env, "test"):
        return failed
    gold_file.discard(pipeline, env)
    return 0


def docs(pipeline: Pipeline) -> int:
    """Write the documentation of Gold as one HTML page next to the Gold file."""
    target = gold_file.published_file(pipeline).parent / "docs"
    env = _prepare(pipeline, copy=True)
    if failed := _run(pipeline, env, "docs", "generate", "--static", target=target):
        return failed
    gold_file.discard(pipeline, env)
    print(f"Open {target / 'static_index.html'}")
    return 0


def _prepare(pipeline: Pipeline, copy: bool = False) -> dict[str, str]:
    """Prepare a file for this command alone."""
    return gold_file.prepare(pipeline, f"manual {uuid4()}", copy=copy)


def _run(pipeline: Pipeline, env: Mapping[str, str], *command: str, target: Path | None = None) -> int:
    """Run dbt on the prepared file; return its exit status. After a failure, the file is kept for inspection."""
    scratch = Path(env["LAKEHOUSE_GOLD_PATH"]).parent
    target_path = ["--target-path", str(target or scratch / "target")]
    return run_dbt(pipeline, *command, *target_path, scratch=scratch, env=env).returncode
