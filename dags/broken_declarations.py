"""No DAG: what cannot be used of `include/pipelines/` shows here as an import error, while all other pipelines run.

Airflow reports import errors by file, and the files that make DAGs leave out what is broken.
"""

from __future__ import annotations

from lakehouse.gold.manifest import problems
from lakehouse.pipelines.load import DeclarationError, declarations

if found := problems(declarations()):
    raise DeclarationError("\n".join([f"{len(found)} to fix in include/pipelines:", *found]))
