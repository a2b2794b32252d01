"""The repository's folders."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
INCLUDE = REPOSITORY / "include"
SQL = INCLUDE / "sql"
CONTRACTS = INCLUDE / "contracts"
PIPELINES = INCLUDE / "pipelines"
DBT = INCLUDE / "dbt"
