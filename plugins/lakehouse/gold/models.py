"""Detects changes of the dbt models."""

from __future__ import annotations

import hashlib

from lakehouse.paths import DBT
from lakehouse.pipelines.model import Pipeline

LENGTH = 16


def fingerprint(pipeline: Pipeline) -> str:
    """Hash of everything that determines the rows of a pipeline's Gold: models, macros, seeds, the project's variables."""
    folders = [
        DBT / "models" / pipeline.name,
        DBT / "macros" / "shared",
        DBT / "macros" / pipeline.name,
        DBT / "seeds" / pipeline.name,
    ]
    files = [DBT / "dbt_project.yml", *(file for folder in folders for file in folder.rglob("*") if file.is_file())]
    found = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        found.update(f"{file.relative_to(DBT)} {len(content)}\n".encode() + content)
    return found.hexdigest()[:LENGTH]
