"""`make setup` on a machine that lacks something: it is reported immediately, and nothing incomplete is left."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.config import ROOT

MAKE = shutil.which("make")
JAVA = "flink/platform/src/main/java/lakehouse/JsonObjectFields.java"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that a setup reads, as in a fresh clone."""
    clone = tmp_path / "clone"
    for name in (
        "Makefile",
        "requirements.lock",
        "flink/pom.xml",
        "flink/platform/pom.xml",
        JAVA,
        "local/check_machine.py",
        "local/preflight.py",
    ):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, clone / name)
    return clone


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH without Java and Maven."""
    folder = tmp_path / "tools"
    folder.mkdir()
    programs = {"python3": f"{sys.base_prefix}/bin/python3"}
    programs |= {name: shutil.which(name) for name in ("make", "sh", "rm", "mkdir", "touch", "awk")}
    for name, program in programs.items():
        (folder / name).symlink_to(os.path.realpath(program))
    return folder


def _make(clone: Path, tools: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {"PATH": str(tools), "PIP_NO_INDEX": "1"}  # nothing can be downloaded
    command = [MAKE, "-C", str(clone), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_missing_programs_are_named_and_nothing_is_created(clone, tools):
    before = sorted(clone.rglob("*"))
    run = _make(clone, tools, "setup")
    assert run.returncode == 2
    assert "nothing was started or installed" in run.stderr
    assert "no Java found" in run.stderr
    assert "`mvn` is not on the PATH" in run.stderr
    assert sorted(clone.rglob("*")) == before


@pytest.mark.parametrize(
    ("made", "again"),
    [
        ((".venv/bin", "flink/target/jars/kafka"), {"venv", "mvn"}),
        ((".venv/.complete", "flink/target/jars/kafka"), {"mvn"}),
        ((".venv/.complete", "flink/target/jars/.complete"), set()),
        ((".venv/.complete", "flink/target/jars/.complete", "requirements.lock"), {"venv"}),
        ((".venv/.complete", "flink/target/jars/.complete", "flink/pom.xml"), {"mvn"}),
        ((".venv/.complete", "flink/target/jars/.complete", JAVA), {"mvn"}),
    ],
    ids=["both interrupted", "jars interrupted", "complete", "new lock", "new pom", "new Java"],
)
def test_only_interrupted_or_outdated_steps_are_repeated(clone, tools, made, again):
    for age, name in enumerate(reversed(made)):  # the last one named is the newest
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
        os.utime(clone / name, (2e9 - age, 2e9 - age))
    would_run = _make(clone, tools, "--dry-run", "setup").stdout
    assert {step for step in ("venv", "mvn") if f"{step} " in would_run} == again
