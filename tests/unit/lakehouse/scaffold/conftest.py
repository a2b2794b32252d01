"""A copy of `include/` in which pipelines can be generated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flight_samples import use_include

from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import Pipeline
from lakehouse.scaffold import write


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy; dbt, which takes seconds, does not parse generated models."""
    monkeypatch.setattr(write, "regenerate", lambda pipeline: [])
    return use_include(monkeypatch, tmp_path)


@pytest.fixture
def sample(tmp_path: Path) -> Callable[..., Path]:
    """Write a sample: rows as JSON lines, or text with any file name."""

    def sample(content: list[dict[str, Any]] | str | bytes, name: str = "sample.jsonl") -> Path:
        file = tmp_path / name
        text = content if isinstance(content, (str, bytes)) else "".join(f"{json.dumps(row)}\n" for row in content)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return sample


@pytest.fixture
def make(include: Path, sample: Callable[..., Path]) -> Callable[..., Pipeline]:
    """Generate a pipeline from rows, and load its declaration."""

    def make(rows: list[dict[str, Any]], name: str = "flights", **options: str) -> Pipeline:
        write.new_pipeline(name, sample(rows), **options)
        declared = declarations(include)
        assert not declared.problems
        return declared.pipelines[name]

    return make
