"""What the machine must bring: run as a new user's machine would, on the system's Python without any package."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import preflight

SYSTEM_PYTHON = Path(sys.base_prefix) / "bin" / "python3"


def _jdk(home: Path, version: str, *, compiler: bool = True) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\nOS_ARCH="x86_64"\n')
    for program in ("java", "javac") if compiler else ("java",):
        (home / "bin" / program).touch(mode=0o755)
    return home


def _run(path: Path, java_home: Path | None = None) -> subprocess.CompletedProcess:
    """Preflight with nothing but the standard library, and a PATH of one folder."""
    environment = {"PATH": str(path)} | ({"JAVA_HOME": str(java_home)} if java_home else {})
    command = [SYSTEM_PYTHON, "-S", "-I", preflight.__file__]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def no_java_elsewhere(monkeypatch):
    monkeypatch.setattr(preflight, "JAVA_FOLDERS", ())


def test_everything_missing_is_named_at_once_with_the_way_to_get_it(tmp_path):
    run = _run(tmp_path)
    assert run.returncode == 1
    assert run.stdout == ""
    said = run.stderr
    assert "nothing was started or installed" in said
    assert "no Java found (JAVA_HOME is not set, no `java` on the PATH)." in said
    assert re.search(r"export JAVA_HOME=/|`apt-get install openjdk-17-jdk-headless`", said)
    assert "`mvn` is not on the PATH. Get it: `apt-get install maven` or `brew install maven`" in said
    assert "`make` is not on the PATH. Get it: `apt-get install make` or `brew install make`" in said
    assert ("`useradd` is not on the PATH" in said) == (os.geteuid() == 0)


def test_a_machine_that_has_everything_passes_in_silence(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("mvn", "make", "useradd"):
        (tools / tool).touch(mode=0o755)
    run = _run(tools, _jdk(tmp_path / "jdk", "21.0.7"))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("version", "compiler", "said"),
    [
        ("25.0.1", True, "Java 25 in {home} does not fit: JDK 17 or 21 is needed"),
        ("1.8.0_452", True, "Java 8 in {home} does not fit"),
        ("17.0.15", False, "Java 17 in {home} is a runtime only: the compiler `javac` is missing"),
    ],
)
@pytest.mark.parametrize("by", ["JAVA_HOME", "PATH"])
def test_a_java_that_does_not_fit_is_named(tmp_path, monkeypatch, no_java_elsewhere, version, compiler, said, by):
    home = _jdk(tmp_path / "java", version, compiler=compiler)
    monkeypatch.setenv("JAVA_HOME", str(home) if by == "JAVA_HOME" else "")
    monkeypatch.setenv("PATH", str(home / "bin"))
    (problem,) = preflight.check_java()
    assert problem.startswith(said.format(home=home))
    assert "Get it: `apt-get install openjdk-17-jdk-headless`" in problem


def test_a_java_home_without_java_is_named(tmp_path, monkeypatch, no_java_elsewhere):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (problem,) = preflight.check_java()
    assert problem.startswith(f"JAVA_HOME={tmp_path} holds no Java. Get it:")


def test_a_java_command_that_leads_to_no_java_asks_for_java_home(tmp_path, monkeypatch, no_java_elsewhere):
    """As the shims of version managers do."""
    (tmp_path / "shims").mkdir()
    (tmp_path / "shims" / "java").touch(mode=0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    (problem,) = preflight.check_java()
    assert problem.startswith(f"{tmp_path}/shims/java tells no Java home: set JAVA_HOME")


def test_a_fitting_jdk_that_is_installed_is_offered(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "JAVA_FOLDERS", (f"{tmp_path.relative_to('/')}/jvm/*",))
    for name, version, compiler in (("a-17", "17.0.1", False), ("b-25", "25", True), ("c-21", "21.0.2", True)):
        _jdk(tmp_path / "jvm" / name, version, compiler=compiler)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jvm" / "b-25"))
    (problem,) = preflight.check_java()
    assert problem.endswith(f"One that fits is installed: export JAVA_HOME={tmp_path}/jvm/c-21")


@pytest.mark.parametrize("release_file", [True, False])
def test_the_version_is_what_java_itself_tells(tmp_path, release_file):
    """The Java of this machine, also where its vendor wrote no `release` file."""
    home = preflight.java_home()
    told = subprocess.run([home / "bin" / "java", "--version"], capture_output=True, text=True, timeout=60).stdout
    if not release_file:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "java").write_text(f'#!/bin/sh\nexec "{home}/bin/java" "$@"\n')
        (tmp_path / "bin" / "java").chmod(0o755)
        home = tmp_path
    assert preflight.java_major(home) == int(re.search(r"\d+", told.split(maxsplit=1)[1]).group())


def test_an_old_python_is_named_with_the_way_to_give_another(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    (problem,) = preflight.check_python()
    assert "is too old: 3.11 or newer is needed" in problem
    assert "`make PYTHON=python3.12 ...`" in problem


def test_an_old_python_can_read_the_file_that_says_so():
    ast.parse(Path(preflight.__file__).read_text(), feature_version=(3, 7))


def test_a_python_that_cannot_make_environments_is_named(tmp_path, monkeypatch):
    """As Debian's without its package python3-venv."""
    monkeypatch.setattr(preflight.importlib.util, "find_spec", lambda module: None if module == "ensurepip" else module)
    (problem,) = preflight.check_python()
    assert problem.endswith("cannot make virtual environments. Get it: `apt-get install python3-venv`")


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("MIN_FREE_DISK_GB", rf"^\d+\.\d GB free on the disk of {preflight.ROOT}: 1000000 GB are needed"),
        pytest.param(
            "MIN_FREE_MEMORY_GB",
            r"^\d+\.\d GB of memory available: 1000000 GB are needed",
            marks=pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="only Linux tells free memory"),
        ),
    ],
)
def test_too_little_room_is_told_in_numbers(monkeypatch, limit, said):
    monkeypatch.setattr(preflight, "MIN_FREE_DISK_GB", 0)
    monkeypatch.setattr(preflight, "MIN_FREE_MEMORY_GB", 0)
    assert preflight.check_room() == []
    monkeypatch.setattr(preflight, limit, 1_000_000)
    (problem,) = preflight.check_room()
    assert re.search(said, problem)
