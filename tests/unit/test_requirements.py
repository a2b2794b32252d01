"""Each third-party import is declared in the requirements of the environment that the importing file runs in."""

from __future__ import annotations

import ast
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lakehouse.paths import REPOSITORY

TESTS = REPOSITORY / "tests"
IMAGE, EMBEDDED, DEVELOPMENT = (folder / "requirements.txt" for folder in (REPOSITORY, REPOSITORY / "local", TESTS))
SITE = Path(pytest.__file__).parents[1]


def sources(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((REPOSITORY / folder).rglob("*.py"))]


@cache
def imports(file: Path) -> frozenset[str]:
    """Names of what a file imports from outside the standard library, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.partition(".")[0] not in sys.stdlib_module_names)


def packages(name: str) -> list[str]:
    """`a/b/c`, `a/b`, `a`: which of them is the module, and what is inside it, is known to its files alone."""
    parts = name.split(".")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]


def own(package: str, importer: Path) -> Path | None:
    """The file or folder of this repository that an import leads to; a test also finds what is next to it."""
    for root in (REPOSITORY, REPOSITORY / "plugins", *(one for one in importer.parents if one.is_relative_to(TESTS))):
        path = root / package
        for found in (path.with_suffix(".py"), path / "__init__.py", path):
            if found.is_file() or (found.is_dir() and sources(str(found))):
                return found
    return None


def with_what_they_import(files: list[Path]) -> list[Path]:
    found, new = set(files), list(files)
    while new:
        importer = new.pop()
        modules = {own(package, importer) for name in imports(importer) for package in packages(name)}
        reached = {module for module in modules if module and module.is_file()} - found
        found |= reached
        new += reached
    return sorted(found)


@cache
def installed(name: str) -> str | None:
    """The file of a third-party module, as its distribution lists it."""
    for package in packages(name):
        for pattern in (f"{package}.py", f"{package}/__init__.py", f"{package}.*.so"):
            if file := next(SITE.glob(pattern), None):
                return str(file.relative_to(SITE))
    return None


@cache
def files_of(distribution: str) -> frozenset[str]:
    """A distribution without any module stands for those that it pins, as apache-airflow does."""
    files = frozenset(str(file) for file in metadata.files(distribution) or () if file.suffix in (".py", ".so"))
    if files:
        return files
    pinned = [Requirement(line) for line in metadata.requires(distribution) or ()]
    return files.union(*(files_of(one.name) for one in pinned if not one.marker and "==" in str(one.specifier)))


def declared(*requirements: Path) -> frozenset[str]:
    lines = [line for file in requirements for line in file.read_text().splitlines() if not line.startswith("#")]
    return frozenset().union(*(files_of(Requirement(line).name) for line in lines))


@pytest.mark.parametrize(
    ("files", "requirements"),
    [
        pytest.param(with_what_they_import(sources("dags", "plugins", "compose")), (IMAGE,), id="image"),
        pytest.param(sources("local", "demo"), (IMAGE, EMBEDDED), id="embedded"),
        pytest.param(sources("tests"), (IMAGE, EMBEDDED, DEVELOPMENT), id="tests"),
    ],
)
def test_what_is_imported_is_declared(files, requirements):
    available = declared(*requirements)
    undeclared = {
        f"{file.relative_to(REPOSITORY)}: {name}"
        for file in files
        for name in imports(file)
        if own(packages(name)[-1], file) is None and installed(name) not in available
    }
    assert sorted(undeclared) == []
