"""The docstring of a DAG file is the DAG's page in the UI, and lists its tasks and params."""

import ast
import re

from lakehouse.airflow.dag_policy import page
from lakehouse.pipelines.load import declarations
from tests.dags.files import FILE_OF, TEMPLATE, WITH_GOLD


def table(doc: str, header: str) -> list[str]:
    """The names in backticks of a Markdown table's first column."""
    rows = re.search(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", doc, re.MULTILINE)
    return re.findall(r"`([^`]+)`", "\n".join(row.split("|")[1] for row in rows[1].splitlines())) if rows else []


def pattern(name: str) -> re.Pattern[str]:
    """The pattern of a name on a page: `<pipeline>` and `<stage>` match the declared ones, any other `<word>` matches all."""
    known = declarations().pipelines.values()
    words = {"pipeline": [one.name for one in known], "stage": [stage for one in known for stage in one.stages]}
    return re.compile(re.sub(r"<(\w+)>", lambda found: f"(?:{'|'.join(words.get(found[1], ['[^.]+']))})", name))


def test_docstring_is_the_page(dag):
    file = FILE_OF[dag.dag_id]
    doc = ast.get_docstring(ast.parse(file.read_text()), clean=False)
    if file == TEMPLATE:
        doc = page(doc, next(pipeline for pipeline in WITH_GOLD if pipeline.dag_id == dag.dag_id))
    assert dag.doc_md == doc
    assert doc.strip().startswith("# ")


def test_each_pipeline_has_its_own_page(dags):
    for pipeline in WITH_GOLD:
        doc = dags[pipeline.dag_id].doc_md
        assert doc.strip().startswith(f"# {pipeline.title}")
        assert f"`airflow dags test {pipeline.dag_id}`" in doc
        assert not re.search("<(name|title)>", doc)


def test_it_has_next_steps_for_failures(dag):
    assert re.search(r"^\*\*When .* red\*\*:", dag.doc_md, re.MULTILINE)


def test_listed_tasks_exist(dag):
    named = table(dag.doc_md, "task")
    assert [name for name in named if not any(pattern(name).fullmatch(task_id) for task_id in dag.task_ids)] == []


def test_every_task_is_listed(dag):
    patterns = [pattern(name) for name in re.findall(r"`([\w.<>]+)`", dag.doc_md)]
    assert [task_id for task_id in dag.task_ids if not any(one.fullmatch(task_id) for one in patterns)] == []


def test_listed_params_are_those_of_the_form(dag):
    assert sorted(table(dag.doc_md, "param")) == sorted(dag.params)
    assert [name for name, param in dag.params.items() if not dag.params.get_param(name).description] == []
