"""dbt from a shell: on a copy of the Gold file, as the pipeline does it, so that neither is in the other's way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from lakehouse.gold import file as gold_file
from lakehouse.paths import DBT

RUN_ID = "by hand"


def deps() -> int:
    """Say that there is nothing to get: the project uses no package."""
    return _dbt({}, "deps")


def build() -> int:
    """Build and test Gold from Silver as it is now, and publish the file when everything passed."""
    env = gold_file.prepare(RUN_ID)
    if failed := _dbt(env, "build"):
        return failed
    print(gold_file.publish(env))
    return 0


def test() -> int:
    """Run every test on a copy of the published Gold file."""
    return _dbt(gold_file.prepare(RUN_ID), "test")


def docs() -> int:
    """Write the documentation of Gold as one HTML page beside the Gold file."""
    target = gold_file.published_file().parent / "docs"
    if failed := _dbt(gold_file.prepare(RUN_ID), "docs", "generate", "--static", target=target):
        return failed
    print(f"Open {target / 'static_index.html'}")
    return 0


def _dbt(env: dict[str, str], *command: str, target: Path | None = None) -> int:
    """Run dbt in this environment; its exit status. A failure leaves the working copy to look into."""
    folders = ["--project-dir", str(DBT), "--profiles-dir", str(DBT)]
    scratch = Path(env["LAKEHOUSE_GOLD_PATH"]).parent if env else gold_file.published_file().parent
    if command[0] != "deps":
        folders += ["--target-path", str(target or scratch / "target")]
    dbt = [shutil.which("dbt") or f"{Path(sys.prefix)}/bin/dbt", "--log-path", str(scratch), *command, *folders]
    return subprocess.run(dbt, env={**os.environ, **env}).returncode
