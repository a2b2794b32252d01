"""A separate `include` folder, in which declarations can be broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rides import CONTRACT

from lakehouse.pipelines.load import Declarations, declarations


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """A folder with SQL, contract and models, but without declarations."""
    for file in (
        "sql/05-bronze.sql",
        "sql/rides/typed.sql",
        "dbt/models/rides/fct_rides.sql",
        "dbt/models/other/fct.sql",
    ):
        path = tmp_path / "include" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("SELECT 1")
    for folder in ("contracts", "pipelines"):
        (tmp_path / "include" / folder).mkdir()
    (tmp_path / "include/contracts/rides.json").write_text(json.dumps(CONTRACT))
    return tmp_path / "include"


@pytest.fixture
def declare(include: Path) -> Callable[..., Declarations]:
    """Write declarations, by file name without suffix, and load all."""

    def declare(**files: Any) -> Declarations:
        for name, declared in files.items():
            text = declared if isinstance(declared, str) else yaml.safe_dump(declared, sort_keys=False)
            (include / "pipelines" / f"{name}.yaml").write_text(text)
        return declarations(include)

    return declare
