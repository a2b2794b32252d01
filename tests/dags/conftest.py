"""Every DAG file of the project, found by looking: a new DAG is held to the same rules by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAGS = Path(__file__).parents[2] / "dags"
DAG_FILES = sorted(DAGS.rglob("*.py"))


@pytest.fixture(params=DAG_FILES, ids=lambda file: file.stem)
def dag_file(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="session")
def dag_files() -> list[Path]:
    return DAG_FILES


@pytest.fixture(scope="session")
def dags() -> dict[str, DAG]:
    """Every DAG by its id."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS)).dags


@pytest.fixture
def dag(dag_file: Path, dags: dict[str, DAG]) -> DAG:
    """The DAG of one file."""
    return dags[dag_file.stem]
