"""Notebooks are valid, and explain what they do. `make lint` sees that they hold no outputs."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from nbformat.validator import iter_validate

from lakehouse.paths import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
MOST_LINES = 25


@pytest.fixture(params=NOTEBOOKS, ids=lambda file: file.name)
def notebook(request: pytest.FixtureRequest) -> dict[str, Any]:
    """As it is in git: nbformat would repair it while reading."""
    return json.loads(request.param.read_text())


def test_it_is_valid(notebook):
    assert [error.message for error in iter_validate(notebook)] == []


def test_its_cells_are_short(notebook):
    assert [cell["id"] for cell in notebook["cells"] if len(cell["source"]) > MOST_LINES] == []


def test_each_step_begins_with_text(notebook):
    """At most two cells of code follow each other."""
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds[0] == "markdown"
    in_a_row = zip(pairwise(kinds), kinds[2:], strict=False)
    assert [first for (first, second), third in in_a_row if {first, second, third} == {"code"}] == []
