"""The docstring of a DAG file is the DAG's page in the UI, and it tells of the tasks and params that there are."""

import ast
import re
from fnmatch import fnmatchcase


def table(doc: str, header: str) -> list[str]:
    """The names in backticks of a Markdown table's first column."""
    rows = re.search(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", doc, re.MULTILINE)
    return re.findall(r"`([^`]+)`", "\n".join(row.split("|")[1] for row in rows[1].splitlines())) if rows else []


def test_docstring_is_the_page(dag_file, dag):
    doc = ast.get_docstring(ast.parse(dag_file.read_text()), clean=False)
    assert dag.doc_md == doc
    assert doc.strip().startswith("# ")


def test_it_says_what_to_do_when_red(dag):
    assert re.search(r"^\*\*When .* red\*\*:", dag.doc_md, re.MULTILINE)


def test_tasks_it_names_exist(dag):
    patterns = [re.sub(r"<\w+>", "*", name) for name in table(dag.doc_md, "task")]
    assert [name for name in patterns if not any(fnmatchcase(task_id, name) for task_id in dag.task_ids)] == []


def test_every_task_and_group_at_the_top_is_named(dag):
    named = {name.split(".")[0] for name in re.findall(r"`([^`\s]+)`", dag.doc_md)}
    assert sorted(set(dag.task_group.children) - named) == []


def test_params_it_names_are_those_of_the_form(dag):
    assert sorted(table(dag.doc_md, "param")) == sorted(dag.params)
    assert [name for name, param in dag.params.items() if not dag.params.get_param(name).description] == []
