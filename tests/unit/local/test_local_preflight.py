"""Requirements of the machine, checked as for a new user: on the system's Python, without any package."""

import ast
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from local import preflight
from local.config import ROOT

CHECK = ROOT / "local" / "check_machine.py"
SYSTEM_PYTHON = Path(sys.base_prefix) / "bin" / "python3"


def _jdk(home: Path, version: str, *, compiler: bool = True) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\nOS_ARCH="x86_64"\n')
    for program in ("java", "javac") if compiler else ("java",):
        (home / "bin" / program).touch(mode=0o755)
    return home


def _run(path: Path, java_home: Path | None = None) -> subprocess.CompletedProcess:
    """Run preflight with only the standard library, and a PATH with one folder."""
    environment = {"PATH": str(path)} | ({"JAVA_HOME": str(java_home)} if java_home else {})
    command = [SYSTEM_PYTHON, "-S", "-I", CHECK]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def no_java_elsewhere(monkeypatch):
    monkeypatch.setattr(preflight, "JAVA_FOLDERS", ())


def test_everything_missing_is_named_at_once_with_how_to_get_it(tmp_path):
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


def test_a_machine_that_has_everything_passes_silently(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("mvn", "make", "useradd"):
        (tools / tool).touch(mode=0o755)
    run = _run(tools, _jdk(tmp_path / "jdk", "21.0.7"))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("version", "compiler", "said"),
    [
        ("25.0.1", True, "Java 25 in {home} is not supported: JDK 17 or 21 is needed"),
        ("1.8.0_452", True, "Java 8 in {home} is not supported"),
        ("17.0.15", False, "Java 17 in {home} is a runtime only: the compiler `javac` is missing"),
    ],
)
@pytest.mark.parametrize("by", ["JAVA_HOME", "PATH"])
def test_an_unsupported_java_is_named(tmp_path, monkeypatch, no_java_elsewhere, version, compiler, said, by):
    home = _jdk(tmp_path / "java", version, compiler=compiler)
    monkeypatch.setenv("JAVA_HOME", str(home) if by == "JAVA_HOME" else "")
    monkeypatch.setenv("PATH", str(home / "bin"))
    (problem,) = preflight.check_java()
    assert problem.startswith(said.format(home=home))
    assert "Get it: `apt-get install openjdk-17-jdk-headless`" in problem


def test_a_java_home_without_java_is_named(tmp_path, monkeypatch, no_java_elsewhere):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (problem,) = preflight.check_java()
    assert problem.startswith(f"JAVA_HOME={tmp_path} contains no Java. Get it:")


def test_a_java_command_outside_a_java_installation_needs_java_home(tmp_path, monkeypatch, no_java_elsewhere):
    """As with the shims of version managers."""
    (tmp_path / "shims").mkdir()
    (tmp_path / "shims" / "java").touch(mode=0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    (problem,) = preflight.check_java()
    assert problem.startswith(f"{tmp_path}/shims/java is not in a Java installation: set JAVA_HOME")


def test_an_installed_jdk_is_suggested(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "JAVA_FOLDERS", (f"{tmp_path.relative_to('/')}/jvm/*",))
    for name, version, compiler in (("a-17", "17.0.1", False), ("b-25", "25", True), ("c-21", "21.0.2", True)):
        _jdk(tmp_path / "jvm" / name, version, compiler=compiler)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jvm" / "b-25"))
    (problem,) = preflight.check_java()
    assert problem.endswith(f"A supported one is installed: export JAVA_HOME={tmp_path}/jvm/c-21")


@pytest.mark.parametrize("release_file", [True, False])
def test_the_version_is_that_of_java_itself(tmp_path, release_file):
    """The Java of this machine, even if its vendor provides no `release` file."""
    home = preflight.java_home()
    printed = subprocess.run([home / "bin" / "java", "--version"], capture_output=True, text=True, timeout=60).stdout
    if not release_file:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "java").write_text(f'#!/bin/sh\nexec "{home}/bin/java" "$@"\n')
        (tmp_path / "bin" / "java").chmod(0o755)
        home = tmp_path
    assert preflight.java_major(home) == int(re.search(r"\d+", printed.split(maxsplit=1)[1]).group())


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 12)])
def test_an_old_python_is_named_with_how_to_choose_another(version):
    code = f"import sys; sys.version_info = {version}; exec(open({str(CHECK)!r}).read())"
    run = subprocess.run([SYSTEM_PYTHON, "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert re.fullmatch(
        rf"Python {version[0]}\.{version[1]} \(.*\) is too old: 3\.11 or newer is needed. .* make PYTHON=python3.12 ...\n",
        run.stderr,
    )


def test_python_2_can_parse_the_file_that_checks_the_version():
    """Its syntax is valid in both, and it imports nothing else before it checks the version."""
    source = CHECK.read_text(encoding="ascii")
    same = (
        ast.Module, ast.Expr, ast.Constant, ast.Import, ast.alias, ast.ImportFrom, ast.If, ast.Compare, ast.Attribute, ast.Name,
        ast.Load, ast.Lt, ast.Tuple, ast.Call, ast.BinOp, ast.Mod, ast.Subscript,
        ast.Assign, ast.Store,
    )  # fmt: skip
    assert [ast.dump(node) for node in ast.walk(ast.parse(source)) if not isinstance(node, same)] == []
    before = source[: source.index("if sys.version_info")]
    assert re.findall(r"^(?:import|from) .*", before, re.MULTILINE) == ["import os", "import sys"]


def test_a_python_that_cannot_create_environments_is_named(tmp_path, monkeypatch):
    """Like Debian's without the package python3-venv."""
    monkeypatch.setattr(preflight.importlib.util, "find_spec", lambda module: None if module == "ensurepip" else module)
    (problem,) = preflight.check_python()
    assert problem.endswith("cannot create virtual environments. Get it: `apt-get install python3-venv`")


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("MIN_FREE_DISK_GB", rf"^\d+\.\d GB free on the disk of {preflight.ROOT}: 1000000 GB are needed"),
        (
            "MIN_FREE_HOME_GB",
            r"^\d+\.\d GB free on the disk of /dev/shm: 1000000 GB are needed.* set LAKEHOUSE_HOME to a folder",
        ),
        pytest.param(
            "MIN_FREE_MEMORY_GB",
            r"^\d+\.\d GB of memory available: 1000000 GB are needed",
            marks=pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="only Linux has /proc/meminfo"),
        ),
    ],
)
def test_too_little_space_is_reported_in_numbers(monkeypatch, limit, said):
    monkeypatch.setenv("LAKEHOUSE_HOME", "/dev/shm/not/made/yet")  # on another disk than the repository
    for name in ("MIN_FREE_DISK_GB", "MIN_FREE_HOME_GB", "MIN_FREE_MEMORY_GB"):
        monkeypatch.setattr(preflight, name, 0)
    assert preflight.check_room() == []
    monkeypatch.setattr(preflight, limit, 1_000_000)
    (problem,) = preflight.check_room()
    assert re.search(said, problem)


def test_a_folder_that_cannot_be_written_to_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "not/made/yet"))
    monkeypatch.setattr(preflight.os, "access", lambda path, _: path != tmp_path)  # root may write everywhere
    assert f"{tmp_path} cannot be written to. Set LAKEHOUSE_HOME to a folder of yours" in preflight.check_room()


@pytest.mark.parametrize("name", ['a"b', "a:b", "a$b", "a`b", "a\\b", "a\nb"])
def test_a_path_that_some_program_does_not_support_is_refused(monkeypatch, tmp_path, name):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / name))
    (problem,) = preflight.check_paths()
    assert problem.startswith(f"the path of LAKEHOUSE_HOME, {str(tmp_path / name)!r}, contains ")


@pytest.mark.parametrize("name", ["my project é, #1", "it's 50% ;&?*[x]", "日本"])
def test_other_odd_paths_are_accepted(monkeypatch, tmp_path, name):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / name))
    assert preflight.check_paths() == []


def test_a_low_limit_of_open_files_is_named_with_how_to_raise_it():
    """As in a shell after `ulimit -n 256`."""
    code = "from local import preflight; print(preflight.check_limits())"
    command = f"ulimit -n 256; {shlex.join([sys.executable, '-c', code])}"
    run = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "a process may open 256 files here: 1024 are needed. Raise the limit: `ulimit -n 1024`" in run.stdout, (
        run.stderr
    )


def test_a_low_limit_of_threads_is_named_except_for_root(monkeypatch):
    """As in a shell after `ulimit -u 40`."""
    limits = {resource.RLIMIT_NOFILE: (4096, 4096), resource.RLIMIT_NPROC: (40, 40)}
    monkeypatch.setattr(preflight.resource, "getrlimit", limits.get)
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 0)
    assert preflight.check_limits() == []
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 12345)
    (problem,) = preflight.check_limits()
    assert problem.startswith("you may start 40 more threads (`ulimit -u` is 40): 1000 are needed")
