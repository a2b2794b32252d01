"""The command line: selection of pipelines, exit status, and clean output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import typer
from airflow.sdk.exceptions import AirflowException

from lakehouse import cli, send
from lakehouse.airflow import settings
from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.airflow.settings import SettingsError
from lakehouse.paths import CONTRACTS, REPOSITORY
from lakehouse.pipelines import load
from lakehouse.pipelines.contract import ContractError, read_contract
from lakehouse.pipelines.load import DeclarationError, Declarations
from lakehouse.pipelines.model import Pipeline
from lakehouse.producer import ProducerError
from lakehouse.text_table import text_table

COMMANDS = set(typer.main.get_command(cli.app).commands)


def a_pipeline(name: str, enabled: bool = True) -> Pipeline:
    return Pipeline.model_validate(
        {
            "name": name,
            "title": f"All {name}",
            "enabled": enabled,
            "topic": {"name": f"{name}.events", "contract": "nyc_taxi.json"},
            "stages": {
                "raw": {"sql": "05-bronze.sql", "source": "topic", "sinks": {"accepted": f"bronze.{name}"}},
                "typed": {"sql": "x.sql", "source": f"bronze.{name}", "sinks": {"accepted": f"silver.{name}"}},
            },
            "contract": read_contract(CONTRACTS / "nyc_taxi.json"),
        }
    )


@pytest.fixture
def declare(monkeypatch) -> Callable[..., None]:
    def declare(*pipelines: Pipeline, **problems: str) -> None:
        declared = Declarations({pipeline.name: pipeline for pipeline in pipelines}, problems)
        monkeypatch.setattr(load, "declarations", lambda: declared)

    return declare


def test_every_make_target_has_its_command():
    makefile = (REPOSITORY / "Makefile").read_text()
    used = set(re.findall(r"\$\((?:LAKEHOUSE|OFFLINE)\) ([a-z-]+)", makefile))
    targets = set(re.findall(r"^([a-z-]+):(?:.*)## ", makefile, re.MULTILINE))
    assert used <= COMMANDS
    assert COMMANDS - targets == {"metrics", "quiesce"}  # for Prometheus and for backups, not for users


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_needs_no_platform(run, monkeypatch, command, capsys):
    monkeypatch.setattr(settings, "apply_to_environment", lambda: pytest.fail("help looked for a platform"))
    assert run(command, "--help") == 0
    assert capsys.readouterr().out.startswith(f"Usage: python -m lakehouse {command} ")


@pytest.mark.parametrize(
    "error", [AirflowException, FlinkError, TimeoutError, SettingsError, DeclarationError, ContractError, ProducerError]
)
def test_an_error_is_one_line_and_a_status(run, monkeypatch, capsys, error):
    def fail() -> None:
        raise error("no. Next: yes")

    monkeypatch.setattr(load, "declarations", fail)
    assert run("pipelines") == 1
    assert capsys.readouterr() == ("", "error: no. Next: yes\n")


def test_bugs_are_not_hidden(run, monkeypatch):
    monkeypatch.setattr(load, "declarations", lambda: {}["x"])
    with pytest.raises(KeyError):
        run("pipelines")


def test_wrong_usage_has_its_own_status(run, capsys):
    assert run("query-at", "a.b") == 2
    assert "Missing argument 'AT'" in capsys.readouterr().err


def test_pipelines_are_listed_with_their_problems(run, declare, capsys):
    declare(a_pipeline("trains"), a_pipeline("buses", enabled=False))
    assert run("pipelines") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:5] == ["trains", "yes", "trains.events", "trains.raw,", "trains.typed"]
    assert lines[2][:3] == ["buses", "no", "buses.events"]

    declare(a_pipeline("trains"), **{"cars.yaml": "cars.yaml: title is missing. Next: add it"})
    assert run("pipelines") == 1
    shown = capsys.readouterr()
    assert "trains" in shown.out
    assert shown.err == "error: include/pipelines/cars.yaml: title is missing. Next: add it\n"


# Which pipeline -------------------------------------------------------------------------------------------------


@pytest.fixture
def audited(monkeypatch) -> list[str]:
    """Names of the audited pipelines, which are all clean."""
    names: list[str] = []

    def run_audit(pipeline: Pipeline, **_: object) -> SimpleNamespace:
        names.append(pipeline.name)
        return SimpleNamespace(clean=True)

    monkeypatch.setitem(sys.modules, "lakehouse.quality.audit", SimpleNamespace(run_audit=run_audit))
    return names


def test_the_only_enabled_pipeline_is_the_default(run, declare, audited):
    declare(a_pipeline("trains"), a_pipeline("buses", enabled=False))
    assert run("audit") == 0
    assert run("audit", "--pipeline", "buses") == 0
    assert audited == ["trains", "buses"]


def test_one_of_several_pipelines_must_be_chosen(run, declare, audited, capsys):
    declare(a_pipeline("trains"), a_pipeline("buses"))
    assert run("audit") == 1
    assert "Which pipeline? Next: set --pipeline (make: PIPELINE=) to one of trains, buses" in capsys.readouterr().err
    assert run("audit", "--pipeline", "cars") == 1
    assert "There is no pipeline 'cars'. Next: choose one of trains, buses" in capsys.readouterr().err
    assert audited == []


@pytest.fixture
def ledgers(monkeypatch) -> dict[str, list[str] | Exception]:
    """Pipeline -> the errors of its ledger, or an exception to raise."""
    answers: dict[str, list[str] | Exception] = {}

    class Ledger(SimpleNamespace):
        def __str__(self) -> str:
            return f"ledger of {self.name}"

        def as_dict(self) -> dict[str, str]:
            return {"pipeline": self.name}

    def read_ledger(pipeline: Pipeline, fact_rows: int | None = None) -> Ledger:
        if isinstance(answers[pipeline.name], Exception):
            raise answers[pipeline.name]
        return Ledger(name=pipeline.name, errors=answers[pipeline.name])

    names = ("published_file", "count_fact", "count_late_duplicates", "built_from_rows")
    gold = SimpleNamespace(**dict.fromkeys(names))
    monkeypatch.setitem(sys.modules, "lakehouse.gold.file", gold)
    monkeypatch.setitem(sys.modules, "lakehouse.quality.ledger", SimpleNamespace(read_ledger=read_ledger))
    return answers


def test_every_enabled_pipeline_is_shown(run, declare, ledgers, capsys):
    declare(a_pipeline("trains"), a_pipeline("buses"), a_pipeline("cars", enabled=False))
    ledgers |= {"trains": [], "buses": [], "cars": []}
    assert run("ledger") == 0
    assert capsys.readouterr().out == "ledger of trains\n\nledger of buses\n\n"
    assert run("ledger", "--pipeline", "cars", "--json") == 0
    assert capsys.readouterr().out == '{"pipeline": "cars"}\n'


@pytest.mark.parametrize(
    "bad", [["1 row more"], AirflowException("no topic trains.events")], ids=["errors", "no answer"]
)
def test_problems_of_one_pipeline_do_not_hide_others(run, declare, ledgers, capsys, bad):
    declare(a_pipeline("trains"), a_pipeline("buses"))
    ledgers |= {"trains": bad, "buses": []}
    assert run("ledger") == 1
    shown = capsys.readouterr()
    assert "ledger of buses" in shown.out
    assert shown.err == ("error: no topic trains.events\n" if isinstance(bad, Exception) else "")
    assert run("ledger", "--pipeline", "buses") == 0


def test_a_broken_declaration_does_not_hide_others(run, declare, ledgers, capsys):
    declare(a_pipeline("trains"), **{"cars.yaml": "cars.yaml: title is missing"})
    ledgers |= {"trains": []}
    assert run("ledger") == 1
    shown = capsys.readouterr()
    assert "ledger of trains" in shown.out
    assert "include/pipelines/cars.yaml: title is missing" in shown.err


@pytest.mark.parametrize("healthy", [True, False])
def test_health_fails_if_a_job_is_unhealthy(run, declare, monkeypatch, capsys, healthy):
    def health_of(flows: list[SimpleNamespace]) -> list[SimpleNamespace]:
        return [SimpleNamespace(healthy=healthy or flow.job != "trains.typed", job=flow.job) for flow in flows]

    declare(a_pipeline("trains"), a_pipeline("buses"))
    monkeypatch.setattr("lakehouse.streaming.health.health_of", health_of)
    assert run("health") == (0 if healthy else 1)
    shown = capsys.readouterr().out
    assert all(f"{name}.typed" in shown for name in ("trains", "buses"))


@pytest.mark.usefixtures("new_york")
def test_an_audit_that_is_not_clean_fails(run, declare, monkeypatch, capsys):
    declare(a_pipeline("trains"))
    report = SimpleNamespace(clean=False, as_dict=lambda: {"clean": False})
    asked = {}
    monkeypatch.setitem(
        sys.modules,
        "lakehouse.quality.audit",
        SimpleNamespace(run_audit=lambda _, **more: asked.update(more) or report),
    )
    assert run("audit", "--since", "2024-01-01T00:00:00", "--partition", "0", "--at-rest", "--json") == 1
    assert capsys.readouterr().out == '{\n  "clean": false\n}\n'
    assert (asked["since_ms"], asked["partition"], asked["at_rest"]) == (1_704_067_200_000, 0, True)
    assert run("audit", "--since", "2024-01-01T01:00:00+01:00") == 1
    assert asked["since_ms"] == 1_704_067_200_000


# Running the jobs' DAG in this process -----------------------------------------------------------------------------------

TASKS = (
    "wait_for_cluster", "trains.create_topic", "trains.register_contract", "trains.create_tables", "trains.deploy_raw",
    "trains.deploy_typed", "trains.check_health", "buses.create_topic", "buses.deploy_raw", "buses.check_health",
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "done"),
    [
        ((), set(TASKS)),
        (("--pipeline", "trains"), set(TASKS[:7])),
        (("--pipeline", "trains", "--stage", "raw"), set(TASKS[:5])),
    ],
    ids=["all", "a pipeline", "a stage"],
)
def test_process_runs_the_requested_tasks(run, declare, monkeypatch, options, done):
    declare(a_pipeline("trains"), a_pipeline("buses"))
    started: list[str] = []
    monkeypatch.setattr(os, "execvp", lambda program, command: started.extend(command) or sys.exit(0))
    assert run("process", *options) == 0
    command, pattern = started[:4], started[5] if len(started) > 4 else "(?!)"
    assert command == ["airflow", "dags", "test", "flink_jobs"]
    # As in Airflow: tasks that match are marked as successful instead of being run.
    assert {task for task in TASKS if not re.fullmatch(pattern, task)} == done


def test_process_refuses_an_unknown_stage(run, declare, monkeypatch, capsys):
    declare(a_pipeline("trains"))
    monkeypatch.setattr(os, "execvp", lambda *_: pytest.fail("it was started"))
    assert run("process", "--stage", "gold") == 1
    assert "has no stage 'gold'. Next: choose one of the jobs trains.raw, trains.typed" in capsys.readouterr().err


# Maintenance -----------------------------------------------------------------------------------------------------


@pytest.fixture
def shell(monkeypatch) -> list[tuple]:
    """Calls of the functions in `lakehouse.maintenance.shell`."""
    calls: list[tuple] = []
    module = SimpleNamespace(
        OPERATIONS=("expire_snapshots", "restore"),
        options=lambda *options: options,
        print_decisions=lambda tables, options: calls.append(("look", list(tables), options)) or 0,
        run_operation=lambda operation, tables, options, batch: (
            calls.append((operation, list(tables), options, batch)) or 1
        ),
    )
    monkeypatch.setitem(sys.modules, "lakehouse.maintenance.shell", module)
    monkeypatch.setattr("lakehouse.maintenance.shell", module, raising=False)
    monkeypatch.setattr("lakehouse.tables.known.require_tables", lambda *_: None)
    return calls


def test_maintenance_decides_about_all_tables_or_those_of_a_pipeline(run, declare, shell):
    declare(a_pipeline("trains"), a_pipeline("buses"))
    assert run("maintenance") == 0
    assert run("maintenance", "--pipeline", "buses", "--dry-run") == 0
    assert shell == [
        ("look", [], (False, None, False)),
        ("look", ["bronze.buses", "silver.buses"], (True, None, False)),
    ]


def test_an_operation_runs_immediately_and_sets_the_status(run, shell):
    options = ("--thresholds", '{"retain_last": 1}', "--batch", "b", "--ignore-unknown-positions")
    assert run("maintenance", "--table", "a.b", "--operation", "restore", *options) == 1
    assert shell == [("restore", ["a.b"], (False, {"retain_last": 1}, True), "b")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--operation", "vacuum"), "'vacuum' is not one of expire_snapshots, restore"),
        (("--thresholds", "1"), "Invalid value for '--thresholds'"),
        (("--thresholds", "{"), "Invalid value for '--thresholds'"),
    ],
)
def test_invalid_options_of_maintenance_are_refused(run, shell, capsys, options, message):
    assert run("maintenance", *options) == 2
    assert message in capsys.readouterr().err
    assert shell == []


@pytest.mark.parametrize(("rows", "warned"), [(0, True), (1, False)])
def test_a_file_without_rows_is_not_a_silent_success(run, monkeypatch, tmp_path, capsys, rows, warned):
    file = tmp_path / "flights.csv"
    file.write_text("carrier,flight\n")
    monkeypatch.setattr(send, "send_file", lambda *_: send.Sent("t", rows, rows, {}, (), 0.1))
    assert run("send", "nyc_taxi", str(file)) == 0
    assert (f"warning: {file} has no rows" in capsys.readouterr().err) is warned


# Clean output ------------------------------------------------------------------------------------------


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "plugins")} | environment,
    )  # fmt: skip


def test_the_command_line_starts_without_airflow():
    heavy = ("airflow", "pyiceberg", "duckdb", "confluent_kafka", "pyarrow", "sqlalchemy", "dbt")
    code = f"import sys, lakehouse.cli; print([name for name in {heavy} if name in sys.modules])"
    assert python("-c", code).stdout == "[]\n"


PROBE = """
import logging, sys
from lakehouse import cli

@cli._command("probe")
def probe():
    from airflow.sdk import BaseHook
    password = BaseHook.get_connection("iceberg_catalog").password
    BaseHook().log.warning("a hook warns")
    logging.getLogger("pyiceberg").warning("a library warns")
    print(password)

sys.argv = ["lakehouse", "probe"]
cli.main()
"""


def test_nothing_is_logged():
    """Airflow would warn, on stdout, that it does not mask a password of three letters."""
    placeholders = set(re.findall(r"\$\{([A-Z_0-9]+)\}", settings.SETTINGS_FILE.read_text()))
    values = {name: "1" if name.endswith("_PORT") else "abc" for name in placeholders}
    asked = python("-c", PROBE, **values)
    assert (asked.stdout, asked.stderr, asked.returncode) == ("abc\n", "", 0)


def with_a_command(body: str) -> str:
    return (
        f"import sys\nfrom lakehouse import cli\n@cli._command('probe', on_platform=False)\ndef probe():\n    {body}\n"
        "sys.argv = ['lakehouse', 'probe']\ncli.main()\n"
    )


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_closed_pipe_is_not_an_error(tmp_path, lines):
    (tmp_path / "probe.py").write_text(with_a_command(f"[print('a line') for _ in range({lines})]"))
    line = f"set -o pipefail; {sys.executable} {tmp_path}/probe.py | true"
    env = os.environ | {"PYTHONPATH": str(REPOSITORY / "plugins")}
    run = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_an_interrupt_shows_no_traceback():
    run = python("-c", with_a_command("raise KeyboardInterrupt"))
    assert (run.returncode, run.stderr) == (130, "")


def test_rows_are_aligned_under_their_names():
    assert text_table([]) == "(no rows)"
    text = text_table([{"a": 1, "long": None}, {"a": 22_222, "long": "1e5"}])
    assert [line.split() for line in text.splitlines()] == [["a", "long"], ["1"], ["22222", "1e5"]]
    assert len({line.rstrip().rfind("  ") for line in (text.splitlines()[0], text.splitlines()[2])}) == 1
