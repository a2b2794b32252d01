"""The whole task graph of each DAG against the one that was last looked at, one file a DAG in `graphs/`.

A graph that changed on purpose is renewed by the command below, and read in `git diff`.
"""

import os
from pathlib import Path

import pytest

GRAPHS = Path(__file__).parent / "graphs"
RENEW = "RENEW_GRAPHS=1 .venv/bin/python -m pytest tests/dags/test_graph.py"


def drawn(dag) -> str:
    """One line a task: its id, operator, trigger rule and upstream tasks."""
    tasks = sorted(dag.tasks, key=lambda task: task.task_id)
    rows = [
        (task.task_id, task.operator_name, task.trigger_rule.value, ", ".join(sorted(task.upstream_task_ids)) or "-")
        for task in tasks
    ]
    return "".join(f"{' | '.join(row)}\n" for row in [("task", "operator", "trigger rule", "upstream"), *rows])


def test_graph_is_as_it_was(dag):
    file = GRAPHS / f"{dag.dag_id}.txt"
    if os.environ.get("RENEW_GRAPHS"):
        file.write_text(drawn(dag))
        pytest.skip(f"{file.name} was written; read it in `git diff`")
    assert file.exists(), f"There is no graph of {dag.dag_id} yet. Write it: {RENEW}"
    assert drawn(dag) == file.read_text(), f"The graph of {dag.dag_id} changed. If that was meant: {RENEW}"


def test_every_graph_has_its_dag(dags):
    assert sorted(file.stem for file in GRAPHS.iterdir()) == sorted(dags), (
        f"Delete what is left over; what is missing: {RENEW}"
    )
