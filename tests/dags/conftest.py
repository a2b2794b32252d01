"""All DAG files and DAGs of the project: new ones are tested automatically."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dags.files import DAGS, FILE_OF, FILES

if TYPE_CHECKING:
    from airflow.sdk import DAG


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def dag_file(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="session")
def dag_files() -> list[Path]:
    return FILES


@pytest.fixture(scope="session")
def dags() -> dict[str, DAG]:
    """DAG id -> DAG."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS)).dags


@pytest.fixture(params=sorted(FILE_OF))
def dag(request: pytest.FixtureRequest, dags: dict[str, DAG]) -> DAG:
    return dags[request.param]
