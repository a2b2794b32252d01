"""The DAG files, and the DAGs that they define."""

from __future__ import annotations

from pathlib import Path

from lakehouse.pipelines.load import enabled_pipelines

DAGS = Path(__file__).parents[2] / "dags"
FILES = sorted(DAGS.rglob("*.py"))
#: Defines one DAG for each pipeline.
TEMPLATE = DAGS / "gold_pipelines.py"
#: Defines no DAG, but reports problems.
REPORT = DAGS / "broken_declarations.py"
WITH_GOLD = [pipeline for pipeline in enabled_pipelines() if pipeline.gold]
#: File -> its DAGs: one with the file's name, except for the two files above.
DAG_IDS = {file: [file.stem] for file in FILES} | {TEMPLATE: sorted(one.dag_id for one in WITH_GOLD), REPORT: []}
FILE_OF = {dag_id: file for file, dag_ids in DAG_IDS.items() for dag_id in dag_ids}
