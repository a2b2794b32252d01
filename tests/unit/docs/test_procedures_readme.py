"""The README of the Flink procedures lists all procedures, arguments and result columns."""

from __future__ import annotations

import re

import pytest

from local.config import ROOT

MODULE = ROOT / "flink" / "iceberg-procedures"
JAVA = MODULE / "src" / "main" / "java" / "lakehouse"
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", (MODULE / "README.md").read_text(), re.DOTALL | re.MULTILINE))
PROCEDURES = dict(
    re.findall(r'entry\(\s*"(\w+)",\s*([\w.]+)::new', (JAVA / "catalog" / "ProceduresCatalog.java").read_text())
)
SHARED = {"table", "ignore_jobs"}


def source(name: str) -> str:
    """The Java class of a procedure; a file may contain several."""
    outer, _, inner = name.partition(".")
    text = (JAVA / "procedure" / f"{outer}.java").read_text()
    return re.split(r"public static class ", text.split(f"public static class {inner} ")[1])[0] if inner else text


def test_each_procedure_has_a_section():
    assert PROCEDURES
    assert set(SECTIONS) == set(PROCEDURES)


@pytest.mark.parametrize("procedure", sorted(PROCEDURES))
def test_its_section_lists_all_arguments_and_columns(procedure):
    java = source(PROCEDURES[procedure])
    arguments = set(re.findall(r'@ArgumentHint\(\s*name = "(\w+)"', java))
    columns = set(
        re.findall(
            r"(\w+)`? (?:BIGINT|STRING|INT|DOUBLE|BOOLEAN|TIMESTAMP|ARRAY)", "".join(re.findall(r'"([^"]*)"', java))
        )
    )
    known = set(re.findall(r"`(\w+)`", SECTIONS[procedure]))

    assert arguments
    assert arguments - known - SHARED == set()
    assert columns - known <= {"previous_snapshot_id", "current_snapshot_id"}, columns - known
    assert f"CALL lake.sys.{procedure}(" in SECTIONS[procedure]
