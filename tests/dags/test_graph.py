"""Compares the task graph of each DAG with the last reviewed one, in one file per DAG in `graphs/`.

After an intended change, update the file with the command below, and review it with `git diff`.
"""

import os
from pathlib import Path

import pytest

GRAPHS = Path(__file__).parent / "graphs"
RENEW = "RENEW_GRAPHS=1 .venv/bin/python -m pytest tests/dags/test_graph.py"


def drawn(dag) -> str:
    """One line per task: its id, operator, trigger rule and upstream tasks."""
    tasks = sorted(dag.tasks, key=lambda task: task.task_id)
    rows = [
        (task.task_id, task.operator_name, task.trigger_rule.value, ", ".join(sorted(task.upstream_task_ids)) or "-")
        for task in tasks
    ]
    return "".join(f"{' | '.join(row)}\n" for row in [("task", "operator", "trigger rule", "upstream"), *rows])


def test_graph_is_unchanged(dag):
    file = GRAPHS / f"{dag.dag_id}.txt"
    if os.environ.get("RENEW_GRAPHS"):
        file.write_text(drawn(dag))
        pytest.skip(f"{file.name} was written; review it with `git diff`")
    assert file.exists(), f"There is no graph of {dag.dag_id} yet. Write it: {RENEW}"
    assert drawn(dag) == file.read_text(), f"The graph of {dag.dag_id} changed. If that was intended: {RENEW}"


def test_every_graph_has_its_dag(dags):
    assert sorted(file.stem for file in GRAPHS.iterdir()) == sorted(dags), (
        f"Delete superfluous files; for missing ones: {RENEW}"
    )
