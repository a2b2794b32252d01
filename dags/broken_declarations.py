"""Not a DAG: shows invalid declarations in `include/pipelines/` as an import error, while all other pipelines run.

Airflow reports import errors by file, and the DAG files themselves leave invalid declarations out.
"""

from __future__ import annotations

from lakehouse.gold.manifest import declaration_problems
from lakehouse.pipelines.load import DeclarationError, declarations

if found := declaration_problems(declarations()):
    raise DeclarationError("\n".join([f"{len(found)} to fix in include/pipelines:", *found]))
