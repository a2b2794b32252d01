"""The connections, pools and variables in the code are exactly those in `airflow_settings.yaml`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Helpers that look up names of other modules.
ACCESS = {ROOT / "plugins" / "lakehouse" / "airflow" / name for name in ("connections.py", "variables.py")}
PYTHON = sorted({*(ROOT / "dags").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")} - ACCESS)
SQL = sorted((ROOT / "include" / "sql").rglob("*.sql"))
LOOKUPS = {
    "Variable.get": "variables",
    "Variable.set": "variables",
    "variables.text": "variables",
    "variables.structure": "variables",
    "BaseHook.get_connection": "connections",
}
IN_TEMPLATE = re.compile(r"\b(?:var\.(?:value|json)|conn)\.(\w+)")


def names_in_python(tree: ast.AST) -> list[tuple[str, str]]:
    """Literal names in look-ups, defaults of parameters `..._conn_id`, and constants `..._CONN_ID`."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.JoinedStr(values=[ast.Constant(value="alarm."), *_]), *_]):
                pass  # state of `lakehouse.alerting.alerts`, which is not a setting
            case ast.Call(args=[ast.Call(func=ast.Name(id="variable_name")), *_]):
                pass  # `pipeline.<name>`, which overrides a declaration and is optional
            case ast.Call(func=ast.Attribute() as function, args=[name, *_]) if ast.unparse(function) in LOOKUPS:
                assert isinstance(name, ast.Constant), f"{ast.unparse(node)}: a computed name cannot be checked"
                found.append((LOOKUPS[ast.unparse(function)], name.value))
            case ast.arguments(args=[*_, _], defaults=[*_, _]):
                with_default = zip(reversed(node.args), reversed(node.defaults), strict=False)
                found += [("connections", value.value) for arg, value in with_default if arg.arg.endswith("conn_id")]
            case ast.Call(func=ast.Name(id="get_connection"), args=[ast.Constant(value=name)]):
                found.append(("connections", name))
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value)) if name.endswith("CONN_ID"):
                found.append(("connections", value))
            case ast.Constant(value=str(text)) if "{{" in text:
                found += names_in_template(text)
    return found


def names_in_template(text: str) -> list[tuple[str, str]]:
    return [("connections" if match[0][0] == "c" else "variables", match[1]) for match in IN_TEMPLATE.finditer(text)]


@pytest.fixture(scope="module")
def named(dags) -> dict[str, dict[str, list[str]]]:
    """Kind -> name -> where it is used."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in [*PYTHON, *SQL]:
        text = file.read_text()
        for kind, name in names_in_python(ast.parse(text)) if file.suffix == ".py" else names_in_template(text):
            found[kind][name].append(str(file.relative_to(ROOT)))
    for dag in dags.values():
        for task in dag.tasks:
            if task.pool != "default_pool":
                found["pools"][task.pool].append(f"{dag.dag_id}.{task.task_id}")
    return found


@pytest.mark.parametrize("kind", ["connections", "pools", "variables"])
def test_names_in_the_code_are_those_of_the_settings(kind, named, load_settings):
    declared = getattr(load_settings(), kind)
    unknown = {name: places for name, places in named[kind].items() if name not in declared}
    assert not unknown, f"not in airflow_settings.yaml: {unknown}"
    unused = sorted(declared.keys() - named[kind].keys())
    assert not unused, f"in airflow_settings.yaml, but nothing uses it: {unused}"
