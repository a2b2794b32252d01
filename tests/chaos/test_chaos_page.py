"""The table in docs/chaos.md is about the faults of the catalogue, all of them."""

from __future__ import annotations

import re

from chaos.catalogue import CATALOGUE
from chaos.report import COLUMNS, SEQUENCE
from local.config import ROOT

PAGE = (ROOT / "docs" / "chaos.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in re.findall(r"^\| .* \|$", PAGE, re.MULTILINE)]


def test_its_columns_are_those_of_the_report():
    assert ROWS[0] == [*COLUMNS, "what happens"]


def test_it_has_a_row_for_each_fault_that_says_what_happens():
    known = {fault.name: fault.pending or fault.what for fault in CATALOGUE}
    shown = {row[0]: row[-1] for row in ROWS[1:] if not row[0].startswith("sequence ")}
    assert shown == known


def test_sequences_are_of_faults_that_combine():
    combine = {fault.name for fault in CATALOGUE if fault.combines}
    sequences = [row for row in ROWS if row[0].startswith("sequence ")]
    assert sequences
    for name, *_, what in sequences:
        assert set(name.partition(": ")[2].split(", ")) <= combine
        assert what == SEQUENCE
