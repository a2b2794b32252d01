"""Which DAG files there are, and which DAGs they make."""

from __future__ import annotations

from pathlib import Path

from lakehouse.pipelines.load import enabled_pipelines

DAGS = Path(__file__).parents[2] / "dags"
FILES = sorted(DAGS.rglob("*.py"))
#: Makes one DAG for each pipeline.
TEMPLATE = DAGS / "gold_pipelines.py"
#: Makes no DAG: it reports.
REPORT = DAGS / "broken_declarations.py"
WITH_GOLD = [pipeline for pipeline in enabled_pipelines() if pipeline.gold]
#: File -> its DAGs: one of the file's name, but for the two files above.
DAG_IDS = {file: [file.stem] for file in FILES} | {TEMPLATE: sorted(one.dag_id for one in WITH_GOLD), REPORT: []}
FILE_OF = {dag_id: file for file, dag_ids in DAG_IDS.items() for dag_id in dag_ids}
