"""Invalid input of commands: one line reports the value and the allowed ones; nothing is done."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import duckdb
import pytest

import demo.__main__
from lakehouse.maintenance.settings import Operation
from lakehouse.paths import REPOSITORY
from lakehouse.texts import MESSAGE_CHARACTERS

#: Hostile to shells, SQL, paths, terminals, and readers.
QUOTES, SQL, PATH, CONTROL, BYTES = "it's\"`", "a; DROP TABLE b", "../../etc/passwd", "a\x1b[31m\n\tb", "\udcff"
LONG = "x" * 100_000
HOSTILE = {"quotes": QUOTES, "path": PATH, "control": CONTROL, "bytes": BYTES, "long": LONG, "empty": ""}
TABLES = "bronze.raw_trips, bronze.rejected_events"


@pytest.fixture
def refused(run, capsys) -> Callable[..., str]:
    """Run a command that must be refused; return its one-line message."""

    def refused(*arguments: str) -> str:
        assert run(*arguments) not in (0, None)
        return only_line(capsys)

    return refused


@pytest.fixture
def refused_by_the_demo(monkeypatch, capsys) -> Callable[..., str]:
    """Run the demo, which must refuse before it starts anything; return its one-line message."""

    def refused(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["demo", *arguments])
        monkeypatch.setattr("local.commands.up", lambda: pytest.fail("the platform was started"))
        try:
            status = demo.__main__.main()
        except SystemExit as ended:
            status = ended.code
        assert status not in (0, None)
        return only_line(capsys)

    return refused


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line of a command's output, which must be printable."""
    shown = capsys.readouterr()
    assert shown.out == ""
    [line] = shown.err.splitlines()
    assert line.isprintable()
    assert line.startswith("error: ")
    assert "Next: " in line
    assert len(line) < MESSAGE_CHARACTERS + 20
    return line


def shown(value: str) -> str:
    """A value as in a message; long ones are shortened."""
    return repr(value)[:100]


#: Command, with a placeholder for the value -> what its message says about allowed values.
TAKE_A_VALUE = {
    ("history", "{}"): TABLES,
    ("table-size", "{}", "--flink"): TABLES,
    ("query-at", "{}", "2024-01-01"): TABLES,
    ("query-at", "bronze.raw_trips", "2024-01-01", "--engine", "{}"): "'duckdb', 'pyiceberg', 'flink'",
    ("maintenance", "--thresholds", "{}"): "JSON object",
    ("audit", "--partition", "{}"): "Input should be a valid ",
    ("audit", "--memory-limit", "{}"): "512MB",
    ("audit", "--since", "{}"): "is not a time in ISO 8601. Next: write it like 2026-01-31T12:00:00Z",
    ("rejects", "--limit", "{}"): "Input should be a valid ",
    ("erase", "{}", "true"): TABLES,
    ("metrics", "--port", "{}"): "Input should be a valid ",
    ("send", "{}", str(REPOSITORY / "README.md")): "nyc_taxi",
    ("new-pipeline", "{}", str(REPOSITORY / "README.md")): "lower-case letters",
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("command", TAKE_A_VALUE, ids=lambda command: " ".join(command[:-1]))
def test_an_invalid_value(refused, command, value):
    message = refused(*(part.format(value) for part in command))
    assert shown(value)[1:-1] in message
    assert TAKE_A_VALUE[command] in message


A_PIPELINE_THAT_THERE_IS_NOT = {
    "regenerate": QUOTES, "process": PATH, "health": CONTROL, "ledger": BYTES, "dbt-build": LONG, "audit": SQL,
    "rejects": QUOTES, "rejects-replay": LONG, "maintenance": CONTROL, "dbt-test": PATH, "dbt-docs": BYTES,
}  # fmt: skip


@pytest.mark.parametrize("command", A_PIPELINE_THAT_THERE_IS_NOT)
def test_an_unknown_pipeline(refused, command):
    value = A_PIPELINE_THAT_THERE_IS_NOT[command]
    message = refused(command, "--pipeline", value)
    assert f"There is no pipeline {shown(value)}" in message
    assert message.endswith("Next: choose one of nyc_taxi")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing command"),
        (("vacuum",), "No such command 'vacuum'"),
        (("history",), "Missing argument 'TABLE'"),
        (("history", "a.b", "c"), "unexpected extra argument"),
        (("history", "--since", "1"), "No such option: --since"),
        (("history", "a.b", "--limit", "0"), "'0': Input should be greater than or equal to 1"),
        (("history", "a.b", "--limit", "9" * 30), "9" * 30),
        (("query",), "Missing argument 'SQL'"),
        (("query", " \n"), "The query is empty. Next: write one"),
        (("query", BYTES), r"'\udcff' is not UTF-8"),
        (("query-at", "a.b"), "Missing argument 'AT'"),
        (("query-at", "a.b", "2024-01-01", "--sql", ""), "The query is empty"),
        (("erase", "bronze.raw_trips"), "Missing argument 'WHERE'"),
        (("erase", "bronze.raw_trips", " "), "The condition is empty. Next: write one"),
        (("erase", "bronze.raw_trips", BYTES), r"'\udcff' is not UTF-8. Next: write the condition in UTF-8"),
        (("send", "nyc_taxi"), "Missing argument 'FILE'"),
        (("send", "nyc_taxi", "no/such.csv"), "'no/such.csv' does not exist"),
        (("send", "nyc_taxi", "/"), "'/' is a directory"),
        (("send", "nyc_taxi", LONG), "xxx"),
        (("new-pipeline", "rides"), "Missing argument 'FILE'"),
        (("new-pipeline", "rides", "it's.csv"), "it's.csv"),
        (("process", "--stage", "gold"), "no stage 'gold'. Next: choose one of the jobs nyc_taxi.bronze, nyc_taxi.silver"),
        (("rejects", "--stage", "it's"), 'No stage "it\'s" of nyc_taxi rejects events. Next: choose one of bronze, silver'),
        (("rejects", "--file", "no/such/file"), "no/such/file cannot be written: No such file or directory"),
        (("rejects", "--file", "/"), "/ cannot be written: "),
        (("rejects-replay", "--stage", "bronze"), "set either a file, or a stage and a reason"),
        (("rejects-replay", "--file", "a", "--stage", "bronze"), "set either a file, or a stage and a reason"),
        (("rejects-replay", "--file", "no/such/file"), "no/such/file cannot be read"),
        (("rejects-replay", "--file", CONTROL), r"a\x1b[31m b cannot be read"),
        (("rejects-replay", "--file", "nope://a/b"), "nope://a/b cannot be read"),
        (("audit", "--partition", "-1"), "'-1': Input should be greater than or equal to 0"),
        (("audit", "--first-offset", "9" * 30), "9" * 30),
        (("audit", "--memory-limit", "0GB"), "'0GB' is not a memory size. Next: write it like 512MB or 2GB"),
        (("maintenance", "--operation", SQL), f"'{SQL}' is not one of {', '.join(Operation)}, restore, purge"),
        (("maintenance", "--operation", LONG), ", ".join(Operation)),
        (("maintenance", "--thresholds", "[]"), "'[]' is not a JSON object"),
        (("maintenance", "--thresholds", "[" * 100_000), "is not a JSON object"),
        (("maintenance", "--thresholds", '{"retain": 1}'), "Unknown threshold 'retain'. Next: choose one of closed_after_s"),
        (("maintenance", "--thresholds", '{"retain_last": "x"}'), "retain_last: 'x': Input should be a valid integer"),
        (("maintenance", "--thresholds", '{"purge_age_s": Infinity}', "--operation", "purge"), "purge_age_s: inf"),
        (("maintenance", "--thresholds", '{"purge_age_s": 1e300}', "--operation", "purge"), "purge_age_s: 1e+300"),
        (("maintenance", "--batch", "b"), "'b' is only for the operation restore"),
        (("maintenance", "--batch", "b", "--operation", "purge"), "purge takes no batch ('b')"),
        (("maintenance", "--dry-run", "--operation", "restore"), "restore has no dry run"),
        (("metrics", "--port", "70000"), "'70000': Input should be less than or equal to 65535"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_invalid_input_of_a_command(refused, arguments, message):
    assert message in refused(*arguments)


MARCH = "2024-03-01 00:00:00"
A_TIME = (
    "but it must be a time in whole seconds without a time zone. "
    'Next: give PICKUP_FROM="2024-02-01 00:00:00", or PICKUP_FROM=auto'
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *((("--pickup-from", value, "--pickup-to", MARCH), A_TIME) for value in HOSTILE.values()),
        *((("--pickup-from", value, "--pickup-to", MARCH), f"PICKUP_FROM is {shown(value)}") for value in HOSTILE.values()),
        (("--pickup-from", "2024-02-30", "--pickup-to", MARCH), f"PICKUP_FROM is '2024-02-30', {A_TIME}"),
        (("--pickup-from", "2024-02-01T00:00:00Z", "--pickup-to", MARCH), "PICKUP_FROM is '2024-02-01T00:00:00Z', but it must"),
        (("--pickup-from", "2024-02-01 00:00:00.5", "--pickup-to", MARCH), "PICKUP_FROM is '2024-02-01 00:00:00.5', but it must"),
        (("--pickup-from", MARCH, "--pickup-to", "auto"),
         "PICKUP_TO is 'auto', but it must be a time in whole seconds without a time zone. Next: give PICKUP_TO=\"2024-"),
        (("--pickup-from", MARCH, "--pickup-to", MARCH), f"PICKUP_FROM ('{MARCH}') must be earlier than PICKUP_TO ('{MARCH}')"),
        (("--pickup-from", MARCH, "--pickup-to", "2024-02-01"), "PICKUP_TO ('2024-02-01'). Next: give a later PICKUP_TO"),
        (("--pickup-from", MARCH), f"PICKUP_FROM is '{MARCH}', but PICKUP_TO is missing. Next: give both, or PICKUP_FROM=auto"),
        (("--pickup-to", LONG), "but PICKUP_FROM is missing. Next: give both, or PICKUP_FROM=auto alone"),
        (("--pickup-from", "auto", "--pickup-to", MARCH), f"PICKUP_TO is '{MARCH}'. Next: leave out PICKUP_TO"),
        (("--source", str(REPOSITORY / "README.md")), "README.md cannot be read as CSV: "),
        (("--source", str(REPOSITORY / ".gitignore")), ".gitignore has no column tpep_pickup_datetime, "),
        (("--source", str(REPOSITORY / "README.md"), "--pickup-from", "auto"), "Next: use a yellow_tripdata file of TLC's"),
        (("--source", "no/such.parquet"), "no/such.parquet cannot be read: No such file or directory"),
        (("--source", "/"), "cannot be read: Is a directory"),
        (("--source", LONG), "cannot be read: File name too long"),
        (("--source", CONTROL), "cannot be read: No such file or directory"),
        (("--events", "0"), "--events: '0' is not a whole number of at least 1"),
        (("--events", "9" * 30), f"--events: '{'9' * 30}' is not a whole number of at least 1"),
        (("--seed", "-1"), "--seed: '-1' is not a whole number of at least 0"),
        (("--seed", LONG), "is not a whole number of at least 0"),
        (("benches",), "invalid choice: 'benches'"),
        (("--month=2",), "unrecognized arguments: --month=2"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_invalid_input_of_the_demo(refused_by_the_demo, arguments, message):
    assert message in refused_by_the_demo(*arguments)


def test_an_unknown_table_or_batch(refused, run, fill, capsys):
    fill("bronze.raw_trips", 1)
    for command in (("history",), ("query-at", "2100-01-01"), ("maintenance", "--operation", "expire_snapshots")):
        name, *options = command
        arguments = (
            (name, "--table", "bronze.nope", *options) if name == "maintenance" else (name, "bronze.nope", *options)
        )
        assert f"There is no Iceberg table 'bronze.nope'. Next: choose one of {TABLES}" in refused(*arguments)
    purge = ("maintenance", "--operation", "purge", "--table", "bronze.raw_trips")
    assert "purge applies to the whole warehouse. Next: leave out bronze.raw_trips" in refused(*purge)
    assert "There is no batch '../b' in quarantine. Next: choose one of (it is empty)" in refused(
        "maintenance", "--operation", "restore", "--batch", "../b"
    )
    at = ("query-at", "bronze.raw_trips")
    assert "has no snapshot of 1:" in refused(*at, "1")
    assert "'1' is not" not in refused(*at, "²")
    assert f"{shown('9' * 5_000)}" in refused(*at, "9" * 5_000)
    assert run(*at, "2100-01-01", "--sql", "select 1 as it") == 0
    assert capsys.readouterr().out.split() == ["it", "1"]


GOLD_QUERIES = {
    "selec": 'Parser Error: syntax error at or near "selec"',
    "select * from nope": "Table with name nope does not exist!",
    "select * from pipeline": "Table with name pipeline does not exist!",
    "drop table fct_trips": "read-only mode",
    f"select {LONG}": 'Referenced column "xxx',
    "it's": "Parser Error",
}


@pytest.mark.parametrize("query", GOLD_QUERIES, ids=[query[:30] for query in GOLD_QUERIES])
def test_an_invalid_query_of_gold(refused, tmp_path, query):
    gold = tmp_path / "gold" / "nyc_taxi" / "gold.duckdb"
    gold.parent.mkdir(parents=True)
    with duckdb.connect(str(gold)) as connection:
        connection.execute("CREATE TABLE fct_trips (trip_id VARCHAR)")
    message = refused("query", query)
    assert message.startswith("error: The query of nyc_taxi's Gold failed: ")
    assert GOLD_QUERIES[query] in message
    assert "LINE 1" not in message


def test_an_incomplete_file_is_removed(run, tmp_path, iceberg, capsys):
    file = tmp_path / "fix.jsonl"
    assert run("rejects", "--file", str(file)) == 1
    assert "bronze.rejected_events does not exist" in capsys.readouterr().err
    assert not file.exists()


# Make ------------------------------------------------------------------------------------------------------------


def made(target: str, **given: str) -> list[str]:
    """The arguments of a target's command for given make variables."""
    echo = f"{sys.executable} -c 'import json, sys; print(json.dumps(sys.argv[1:]))'"
    stand_in = [f"{name}={echo}" for name in ("LAKEHOUSE", "OFFLINE", "LOCAL", "DEMO")]
    untouched = ["-o", "setup", "-o", "set-up-before"]
    command = ["make", "--silent", *untouched, target, *stand_in, *(f"{name}={value}" for name, value in given.items())]
    asked = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(asked.stdout)


@pytest.mark.parametrize("value", ["a'b", '"', "$x $$ $(shell id) `id`", "; id", "a\n\tb", "--help", "é * \\"])
def test_make_passes_values_unchanged(value):
    assert made("query-at", TABLE=value, AT=value, SQL=value) == ["query-at", f"--sql={value}", "--", value, value]


def test_make_leaves_out_missing_values():
    assert made("query") == ["query", "--", ""]
    assert made("demo") == []
    assert made("demo", PICKUP_FROM="2024-02-01 00:00:00", PICKUP_TO="a b") == [
        "--pickup-from=2024-02-01 00:00:00", "--pickup-to=a b",
    ]  # fmt: skip
    assert made("rejects", REASON="not JSON") == ["rejects", "--reason=not JSON"]
    assert made("new-pipeline", NAME="a", FROM="b", KEY="c") == ["new-pipeline", "--key=c", "--", "a", "b"]
