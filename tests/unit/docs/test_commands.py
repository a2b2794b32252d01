"""Every command that a document shows exists, with the arguments that it is shown with; nothing is run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from functools import cache

import pytest
import typer
import yaml
from documents import calls_of_make, shown, texts

from lakehouse.cli import Engine, app
from lakehouse.maintenance import shell
from lakehouse.paths import REPOSITORY
from lakehouse.pipelines.load import declarations
from local import config
from taxi_generator import MODES
from tests.dags.files import FILE_OF

CALLS = calls_of_make()
MAKEFILE = (REPOSITORY / "Makefile").read_text()
#: Target -> what `make` says of it.
HELP = dict(re.findall(r"^([a-z-]+):.*?## (.*)$", MAKEFILE, re.MULTILINE))
COMPOSE = (REPOSITORY / "docker-compose.yaml").read_text()
#: What the environment of a command may set.
SETTINGS = {"LAKEHOUSE_HOME", "PORT_BASE", *config.PORTS, *config.OPTIONS, *config.OBJECT_STORE}
#: What the environment of tests may set.
OF_TESTS = {"TEST_PORT_BASE", "TEST_COMPOSE_IMAGES", "LAKEHOUSE_TLC_FILE"}
TAXI = declarations().pipelines["nyc_taxi"]
#: Variable -> the values that a document may give it. Names in other variables are the reader's own.
VALUES = {
    "OPERATION": {*shell.OPERATIONS},
    "TABLE": {*TAXI.tables},
    "STAGE": {*TAXI.stages},
    "ENGINE": {engine.value for engine in Engine},
    "MODE": {*MODES},
}


@cache
def made(target: str, *variables: str) -> str:
    """The commands of a target, when these variables are given."""
    given = [f"{name}=1" for name in variables]
    command = ["make", "--dry-run", "--silent", "-o", "setup", "-o", "set-up-before", "-o", "lint", target, *given]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True).stdout


def takes(target: str, variable: str) -> bool:
    """Whether a target does anything with a variable."""
    return bool(re.search(rf"\$\{{?{variable}\b", made(target))) or made(target) != made(target, variable)


def test_documents_show_commands():
    assert len(CALLS) > 100


def test_targets_of_make_exist():
    assert [call.where for call in CALLS if not {*call.targets} <= HELP.keys()] == []


def test_targets_take_the_variables_that_they_are_shown_with():
    wrong = [
        f"{call.where}: {variable}"
        for call in CALLS
        for variable in call.variables
        if not any(takes(target, variable) for target in call.targets)
    ]
    assert wrong == []


def test_values_with_a_fixed_choice_are_among_it():
    wrong = [
        f"{call.where}: {name}={value}"
        for call in CALLS
        for name, value in call.variables.items()
        if value and "|" not in value and "." * 3 not in value and value not in VALUES.get(name, {value})
    ]
    assert wrong == []


def test_the_environment_sets_what_the_platform_reads():
    wrong = [
        f"{call.where}: {name}"
        for call in CALLS
        for name in call.environment
        if name not in SETTINGS | OF_TESTS
        and not config.PARAMETER.fullmatch(name)
        and f"${{{name}" not in COMPOSE
        and not name.startswith("COMPOSE_")
    ]
    assert wrong == []


def test_variables_alone_are_known():
    """Such as `DRY_RUN=1` in a sentence about a command."""
    of_make = {name for text in HELP.values() for name in re.findall(r"\b([A-Z_]+)=", text)}
    alone = re.compile(r"""[A-Z_]{2,}=("[^"]*"|\S+)?( [A-Z_]{2,}=("[^"]*"|\S+)?)*""")
    wrong = [
        f"{where}: {name}"
        for where, document in texts().items()
        for text in shown(document)
        if alone.fullmatch(text)
        for name in re.findall(r"(?:^| )([A-Z_]{2,})=", text)
        if name not in of_make | SETTINGS | OF_TESTS and not config.PARAMETER.fullmatch(name)
    ]
    assert wrong == []


@pytest.mark.parametrize("target", HELP)
def test_help_names_the_variables_that_a_target_takes(target):
    assert [name for name in re.findall(r"\b([A-Z_]{2,})=", HELP[target]) if not takes(target, name)] == []


def test_commands_of_the_platform_exist():
    """`python -m lakehouse COMMAND --option`."""
    commands = typer.main.get_command(app).commands
    wrong = []
    for where, text in texts().items():
        for command, options in re.findall(r"python -m lakehouse ([a-z-]+)((?: --[a-z-]+)*)", text):
            known = (
                {name for param in commands[command].params for name in param.opts} if command in commands else set()
            )
            if command not in commands or not {*options.split()} <= known:
                wrong.append(f"{where}: {command}{options}")
    assert wrong == []


def test_modules_that_are_run_exist():
    named = {
        (where, module)
        for where, text in texts().items()
        for module in re.findall(r"python -m ([a-z_.]+[a-z])", text)
        if module != "pytest"
    }
    assert named
    assert [(where, module) for where, module in sorted(named) if importlib.util.find_spec(module) is None] == []


def test_dags_that_are_run_exist():
    named = {
        (where, dag_id.replace("<name>", TAXI.name))
        for where, text in texts().items()
        for dag_id in re.findall(r"airflow (?:dags|tasks) (?:test|trigger) ([\w<>]+)", text)
    }
    assert named
    assert [(where, dag_id) for where, dag_id in sorted(named) if dag_id not in FILE_OF] == []


def test_the_readme_lists_every_dag():
    section = (REPOSITORY / "README.md").read_text().split("## The DAGs\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([\w<>]+)`", section, re.MULTILINE)
    assert sorted(name.replace("<name>", TAXI.name) for name in listed) == sorted(FILE_OF)


def test_services_that_docker_compose_is_called_with_exist():
    services = yaml.safe_load(COMPOSE)["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}
    wrong = []
    for where, text in texts().items():
        for line in shown(text):
            for service in re.findall(
                r"docker compose .*?\b(?:exec|restart|stop|unpause|up(?: --\w+)*) ([a-z-]+)", line
            ):
                wrong += [] if service in services else [f"{where}: {service}"]
            wrong += [f"{where}: {name}" for name in re.findall(r"--profile ([a-z-]+)", line) if name not in profiles]
    assert wrong == []


def test_test_files_that_are_run_exist():
    named = {path for text in texts().values() for path in re.findall(r"-m pytest (tests/\S+?\.py)", text)}
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []
