"""The procedures on the other versions of Flink that Iceberg has a runtime for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from local.config import ROOT


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", ["2.0", "1.20"])
def test_all_java_tests_pass(version, tmp_path: Path):
    """In a copy, because two builds in one folder would conflict."""
    module = tmp_path / "flink"
    shutil.copytree(ROOT / "flink", module, ignore=shutil.ignore_patterns("target"))
    run = subprocess.run(
        ["mvn", "--batch-mode", "--quiet", f"-Pflink-{version}", "--projects", "rest-catalog,iceberg-procedures", "test"],
        cwd=module, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-5000:]
