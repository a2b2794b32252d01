"""The command line of the platform: `python -m lakehouse COMMAND`; `make help` lists the same as `make` targets.

A command imports what it needs when it runs: it starts quickly, and a module that cannot be imported breaks its own command
alone. Answers go to stdout and errors to stderr; nothing is logged.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.texts import BIGINT, MEMORY, epoch_ms, message, sql_problem

if TYPE_CHECKING:
    from lakehouse.pipelines.load import Declarations
    from lakehouse.pipelines.model import Pipeline

LOG_LEVEL = "AIRFLOW__LOGGING__LOGGING_LEVEL"
MOST_ROWS = 1_000_000_000
app = typer.Typer(
    help="The platform from a shell.", add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False,
)  # fmt: skip

Name = Annotated[str | None, typer.Option("--pipeline", help="its name; may be left out when one pipeline is enabled")]
AnyName = Annotated[str | None, typer.Option("--pipeline", help="its name; by default every enabled pipeline")]
Json = Annotated[bool, typer.Option("--json", help="print it as JSON")]
StageName = Annotated[str | None, typer.Option("--stage", help="of this stage only")]
Reason = Annotated[str | None, typer.Option(help="for this reason only")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="change nothing")]
Table = Annotated[str, typer.Argument(metavar="TABLE", help="namespace.table")]


class Engine(StrEnum):
    """What reads a table as it was."""

    DUCKDB = "duckdb"
    PYICEBERG = "pyiceberg"
    FLINK = "flink"


def main() -> None:
    """Run one command; exits with 1 when it failed or when its answer is not good, with 2 when it was called wrongly."""
    try:
        status = app(prog_name="python -m lakehouse", standalone_mode=False)
    except typer.TyperException as error:
        _report(_as_wrong_call(error))
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        if not isinstance(error, _expected_errors()):
            raise
        _report(error)
        raise SystemExit(1) from None
    raise SystemExit(status)


def _as_wrong_call(error: typer.TyperException) -> ValueError:
    """What was wrong with the arguments: which one, its value, and what it may be."""
    from pydantic import ValidationError

    from lakehouse.validation import reasons

    if isinstance(error.__cause__, ValidationError):
        error.message = reasons(error.__cause__)
    said = error.format_message()
    return ValueError(
        said if "Next: " in said else f"{said.rstrip('.')}. Next: `make help` shows what each command takes"
    )


def _expected_errors() -> tuple[type[Exception], ...]:
    """Those whose message says all that a person needs."""
    from airflow.sdk.exceptions import AirflowException

    from lakehouse.airflow.hooks.flink import FlinkError
    from lakehouse.airflow.settings import SettingsError
    from lakehouse.pipelines.contract import ContractError
    from lakehouse.pipelines.load import DeclarationError
    from lakehouse.producer import ProducerError

    return (AirflowException, FlinkError, TimeoutError, SettingsError, DeclarationError, ContractError, ProducerError)


def _report(error: Exception) -> None:
    print(f"error: {message(error)}", file=sys.stderr)


def _command(name: str, on_platform: bool = True) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Declare a command; what it returns is its exit status.

    :param on_platform: it uses the platform's connections and variables
    """

    def declare(function: Callable[..., int | None]) -> Callable[..., int | None]:
        @wraps(function)
        def run(*arguments: Any, **options: Any) -> None:
            # Before Airflow is imported: it would write its log, and warnings about short passwords, between the answers.
            os.environ.setdefault(LOG_LEVEL, "CRITICAL")
            if on_platform:
                from lakehouse.airflow import settings

                settings.see()
            try:
                status = function(*arguments, **options) or 0
                sys.stdout.flush()
            except BrokenPipeError:  # its reader has seen enough (`| head`)
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                status = 0
            raise typer.Exit(status)

        app.command(name)(run)
        return function

    return declare


def _one(name: str | None) -> Pipeline:
    """The pipeline of this name, or the only one that is enabled.

    :raises DeclarationError: there is no such pipeline, or a name is needed
    """
    from lakehouse.pipelines.load import DeclarationError, enabled_pipelines, get_pipeline

    if name:
        return get_pipeline(name)
    enabled = enabled_pipelines()
    if len(enabled) == 1:
        return enabled[0]
    names = ", ".join(pipeline.name for pipeline in enabled) or "(none is enabled)"
    raise DeclarationError(f"Which pipeline? Next: give --pipeline (make: PIPELINE=) with one of {names}")


def _each(name: str | None, show: Callable[[Pipeline], bool]) -> int:
    """Show the pipeline of this name, or every enabled one: what one of them lacks does not hide the others.

    :param show: whether what it printed is good
    """
    from lakehouse.pipelines.load import declarations, get_pipeline

    if name:
        return 0 if show(get_pipeline(name)) else 1
    declared = declarations()
    good = not _report_problems(declared)
    for pipeline in declared.enabled:
        try:
            good &= show(pipeline)
        except _expected_errors() as error:
            _report(error)
            good = False
    return 0 if good else 1


def _report_problems(declared: Declarations) -> bool:
    """Name each declaration that cannot be used; whether there is one."""
    for problem in declared.problems.values():
        print(f"error: include/pipelines/{problem}", file=sys.stderr)
    return bool(declared.problems)


def _mapping(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f'{text!r} is not a JSON object. Next: write it like {{"retain_last": 10}}')
    return found


def _sql(text: str) -> str:
    return _written(text, "query", 'make query SQL="select 1"')


def _condition(text: str) -> str:
    return _written(text, "condition", "make erase WHERE=\"trip_id = 'a1'\"")


def _written(text: str, what: str, example: str) -> str:
    """SQL that a person wrote."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not UTF-8. Next: write the {what} in UTF-8") from None
    if not text.strip():
        raise ValueError(f"{text!r} is no {what}. Next: write one, as in {example}")
    return text


def _memory(text: str) -> str:
    if not re.fullmatch(MEMORY, text):
        raise ValueError(f"{text!r} is no amount of memory. Next: write it like 512MB or 2GB")
    return text


def _relative(file: Path) -> Path:
    from lakehouse.paths import REPOSITORY

    return file.relative_to(REPOSITORY)


def _print_rows(rows: Iterable[dict[str, Any]]) -> None:
    from lakehouse.text_table import text_table

    print(text_table(rows))


# Pipelines -------------------------------------------------------------------------------------------------------


@_command("pipelines", on_platform=False)
def pipelines() -> int:
    """List the declared pipelines, enabled or not; fails when a declaration cannot be used."""
    from lakehouse.pipelines.load import declarations

    declared = declarations()
    _print_rows(
        {
            "pipeline": pipeline.name,
            "enabled": "yes" if pipeline.enabled else "no",
            "topic": pipeline.topic.name,
            "jobs": ", ".join(stage.job for stage in pipeline.stages.values()),
            "gold": pipeline.gold.fact if pipeline.gold else None,
            "title": pipeline.title,
        }
        for pipeline in declared.pipelines.values()
    )
    return 1 if _report_problems(declared) else 0


@_command("new-pipeline", on_platform=False)
def new_pipeline(
    name: Annotated[str, typer.Argument(metavar="NAME", help="of the pipeline: lower-case letters, digits and _")],
    sample: Annotated[
        Path, typer.Argument(metavar="FILE", help="events as JSON lines, CSV or Parquet", exists=True, dir_okay=False)
    ],
    key: Annotated[str | None, typer.Option(help="fields that identify an event, separated by commas")] = None,
    time: Annotated[str | None, typer.Option(help="field with the time of an event")] = None,
) -> None:
    """Write a pipeline's declaration, contract, SQL and dbt models from a sample of its events."""
    from lakehouse.gold.dictionary import write_dictionary
    from lakehouse.scaffold.write import new_pipeline, next_steps

    for file in [*new_pipeline(name, sample, key, time), write_dictionary()]:
        print(f"wrote {_relative(file)}")
    print(next_steps(name))


@_command("send")
def send(
    name: Annotated[str, typer.Argument(metavar="PIPELINE")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="events as JSON lines, CSV or Parquet", exists=True, dir_okay=False)
    ],
) -> None:
    """Send a file's events to the pipeline's topic, each checked against its contract."""
    from lakehouse.pipelines.load import get_pipeline
    from lakehouse.send import send_file

    sent = send_file(get_pipeline(name), file)
    print(sent)
    if not sent.rows:
        print(
            f"warning: {file} has no rows, only a header at most. Next: check that it is the right file",
            file=sys.stderr,
        )


@_command("regenerate", on_platform=False)
def regenerate(name: AnyName = None) -> int:
    """Write a pipeline's dbt source and manifest and docs/tables.md, after a change of its declaration, contract or models."""
    from lakehouse.gold.dictionary import write_dictionary
    from lakehouse.gold.generate import regenerate

    def write(pipeline: Pipeline) -> bool:
        if pipeline.gold:
            for file in regenerate(pipeline):
                print(f"wrote {_relative(file)}")
        return True

    status = _each(name, write)
    print(f"wrote {_relative(write_dictionary())}")
    return status


@app.command("process")
def process(
    name: AnyName = None,
    stage: Annotated[str | None, typer.Option(help="one stage of it, without its health check")] = None,
) -> None:
    """Deploy the Flink jobs as declared: one run of the DAG flink_jobs in this process."""
    command = ["airflow", "dags", "test", "flink_jobs"]
    if name or stage:
        command += ["--mark-success-pattern", _all_tasks_but(_one(name), stage)]
    os.execvp(command[0], command)


def _all_tasks_but(pipeline: Pipeline, stage: str | None) -> str:
    """Pattern of the tasks of flink_jobs that a run for this pipeline, or for one stage of it, leaves out."""
    from lakehouse.pipelines.load import get_stage

    tasks = ".*"
    if stage:
        get_stage(f"{pipeline.name}.{stage}")
        tasks = f"(create_.*|register_contract|(deploy|stop)_{stage})"
    return rf"(?!(wait_for_cluster|{pipeline.name}\.{tasks})$).*"


# Health and quality ----------------------------------------------------------------------------------------------


@_command("health")
def health(name: AnyName = None) -> int:
    """Show each streaming job, and why it is unhealthy; fails when one is."""
    from lakehouse.streaming.flow import flows_of
    from lakehouse.streaming.health import health_of

    def show(pipeline: Pipeline) -> bool:
        jobs = health_of(flows_of(pipeline))
        for job in jobs:
            print(job, end="\n\n")
        return all(job.healthy for job in jobs)

    return _each(name, show)


@_command("ledger")
def ledger(name: AnyName = None, as_json: Json = False) -> int:
    """Count the rows from the topic to Gold; fails when rows are unaccounted for that cannot be in flight."""
    from lakehouse.gold.file import built_from_rows, count_fact, count_late_duplicates, published_file
    from lakehouse.quality.ledger import read_ledger

    def show(pipeline: Pipeline) -> bool:
        if pipeline.gold and published_file(pipeline).exists():
            found = read_ledger(
                pipeline, count_fact(pipeline), count_late_duplicates(pipeline), built_from_rows(pipeline)
            )
        else:
            found = read_ledger(pipeline)
        print(json.dumps(found.as_dict()) if as_json else f"{found}\n")
        return not found.errors

    return _each(name, show)


@_command("acknowledge-loss")
def acknowledge_loss(name: Name = None) -> None:
    """Take events that Kafka deleted before they were read for lost: the ledger shows them, and no longer waits for them."""
    from lakehouse.reconciliation.reconcile import acknowledge_loss

    pipeline = _one(name)
    for stage in pipeline.stages.values():
        if stage.reads_topic:
            lost = acknowledge_loss(pipeline, stage)
            print(f"{stage.job}: {len(lost):,} events are taken for lost{f' ({lost})' if lost else ''}")


@_command("erase")
def erase(
    table: Table,
    where: Annotated[
        str, typer.Argument(parser=_condition, metavar="WHERE", help="on its columns, as DuckDB understands it")
    ],
    reason: Annotated[str, typer.Option(help="why, for the log ops.erasures")] = "",
    agreed: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    dry_run: DryRun = False,
) -> int:
    """Erase the rows that a condition selects in one table, and whatever else was made of the same events."""
    from lakehouse.erasure.erase import erase, remains
    from lakehouse.erasure.selection import select

    selection = select(table, where)
    _print_rows({"table": name, "rows": rows} for name, rows in selection.rows.items())
    print(f"{len(selection.positions):,} events of {selection.pipeline.name}, as {table} says")
    if selection.interrupted:
        print(f"{len(selection.interrupted):,} erasures were interrupted, and are finished with this one")
    if dry_run or not selection.everything:
        return 0
    question = "Erase these rows? They cannot be brought back [y/N] "
    if not agreed and (not sys.stdin.isatty() or input(question).strip().lower() not in ("y", "yes")):
        print("error: nothing was erased (a script says it with YES=1)", file=sys.stderr)
        return 1
    for name, rows in erase(selection, reason).items():
        print(f"{name}: {rows:,} rows erased")
    print("\n".join(remains(selection.pipeline)))
    return 0


@_command("audit")
def audit(
    name: Name = None,
    partition: Annotated[int | None, typer.Option(min=0, help="this Kafka partition only")] = None,
    first_offset: Annotated[int | None, typer.Option(min=0, max=BIGINT[-1], help="events from this offset on")] = None,
    last_offset: Annotated[
        int | None, typer.Option(min=0, max=BIGINT[-1], help="events up to and including this offset")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            parser=epoch_ms, metavar="TIME", help="events since then (ISO 8601, UTC unless it says otherwise)"
        ),
    ] = None,
    at_rest: Annotated[
        bool, typer.Option("--at-rest", help="no row is in flight: what has not arrived is missing")
    ] = False,
    memory_limit: Annotated[str, typer.Option(parser=_memory, metavar="SIZE", help="of DuckDB")] = "1GB",
    as_json: Json = False,
) -> int:
    """Compare every stage with its source, row by row; fails when anything is missing, duplicated or altered."""
    from lakehouse.quality.audit import run_audit

    report = run_audit(
        _one(name),
        partition=partition,
        first_offset=first_offset,
        last_offset=last_offset,
        since_ms=since,
        at_rest=at_rest,
        memory_limit=memory_limit,
        log=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(json.dumps(report.as_dict(), indent=2) if as_json else report)
    return 0 if report.clean else 1


@_command("rejects")
def rejects(
    name: AnyName = None,
    stage: StageName = None,
    reason: Reason = None,
    limit: Annotated[
        int | None, typer.Option(min=0, max=MOST_ROWS, help="so many of each stage; by default 10, or all with --file")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="new file: write them there as JSON lines, to be fixed")] = None,
) -> int:
    """Count rejected events by reason and show the first, or write them to a file where they can be fixed."""
    from lakehouse.quality.rejects import show, write

    if file:
        written = write(_one(name), file, stage, reason, limit)
        print(
            f"{written:,} rejected events are in {file}. Next: fix each `payload`, then make rejects-replay FILE={file}"
        )
        return 0

    def show_pipeline(pipeline: Pipeline) -> bool:
        for text in show(pipeline, stage, reason, limit):
            print(text)
        return True

    return _each(name, show_pipeline)


@_command("rejects-replay")
def rejects_replay(
    name: Name = None,
    file: Annotated[
        str | None, typer.Option(help="JSON lines as `rejects --file` writes them, with fixed payloads")
    ] = None,
    stage: StageName = None,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Send fixed events from a file, or what a stage rejected for a reason as it is; each once."""
    from lakehouse.quality.rejects import run

    done = run(_one(name), file, stage, reason, dry_run)
    verb = "are due" if dry_run else "were sent"
    print(f"{done['sent']:,} events {verb}, {done['sent_before']:,} were sent before")


# Gold ------------------------------------------------------------------------------------------------------------


def _dbt_command(name: str, what: str, function: str) -> None:
    def run(name: Name = None) -> int:
        from lakehouse.gold import dbt

        return getattr(dbt, function)(_one(name))

    run.__doc__ = what
    _command(name)(run)


for _name, _what in {
    "deps": "Show that no dbt package is needed.",
    "build": "Build and test Gold from its source as it is now, and publish it.",
    "test": "Run every dbt test on a copy of the published Gold file.",
    "docs": "Write the documentation of Gold as one HTML page.",
}.items():
    _dbt_command(f"dbt-{_name}", _what, _name)


@_command("query")
def query(
    sql: Annotated[str, typer.Argument(parser=_sql, metavar="SQL", help="as DuckDB understands it")], name: Name = None
) -> None:
    """Query the published Gold file."""
    import duckdb
    from airflow.sdk.exceptions import AirflowException

    from lakehouse.gold.file import count_fact, published_file

    pipeline = _one(name)
    count_fact(pipeline)  # says what to do when there is no file
    with duckdb.connect(str(published_file(pipeline)), read_only=True) as gold:
        gold.execute(
            "SET python_enable_replacements = false"
        )  # a name in the query is a table's, not one of this module's
        try:
            answer = gold.sql(sql)
            if answer is not None:
                answer.show()
        except duckdb.Error as error:
            raise AirflowException(
                f"The query of {pipeline.name}'s Gold failed: {sql_problem(error)} "
                "Next: correct it; the query `show tables` lists the tables"
            ) from error


# Tables ----------------------------------------------------------------------------------------------------------


def _question_command(question: str, what: str) -> None:
    def run(
        table: Table,
        limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="so many rows at most")] = 50,
        flink: Annotated[bool, typer.Option("--flink", help="by Flink SQL instead of pyiceberg")] = False,
    ) -> None:
        from lakehouse.tables.inspect import ask, ask_flink
        from lakehouse.tables.known import require_tables

        require_tables(table)
        _print_rows((ask_flink if flink else ask)(question, table, limit=limit))

    run.__doc__ = what
    _command(question)(run)


for _name, _what in {
    "history": "Show which snapshot of a table was current since when.",
    "snapshots": "Show what each commit to a table did.",
    "files": "Show the files of a table, the smallest first.",
    "table-size": "Count files, rows and bytes of a table.",
}.items():
    _question_command(_name, _what)


@_command("query-at")
def query_at(
    table: Table,
    at: Annotated[
        str, typer.Argument(metavar="AT", help="a time (ISO 8601, UTC unless it says otherwise) or a snapshot id")
    ],
    sql: Annotated[
        str | None,
        typer.Option(
            parser=_sql, metavar="SQL", help="{table} stands for the table then; by default its rows are counted"
        ),
    ] = None,
    engine: Annotated[Engine, typer.Option()] = Engine.DUCKDB,
) -> None:
    """Query a table as it was at a moment."""
    from lakehouse.tables.inspect import COUNT, query_at
    from lakehouse.tables.known import require_tables

    require_tables(table)
    _print_rows(query_at(table, at, sql or COUNT, engine.value))


@_command("maintenance")
def maintenance(
    name: Annotated[
        str | None, typer.Option("--pipeline", help="tables of this pipeline; by default all tables")
    ] = None,
    table: Annotated[str | None, typer.Option(help="this table only (namespace.table)")] = None,
    operation: Annotated[
        str | None, typer.Option(help="do this now: an operation on tables, restore, purge or remove_old_states")
    ] = None,
    dry_run: DryRun = False,
    thresholds: Annotated[
        dict[str, Any] | None,
        typer.Option(parser=_mapping, metavar="JSON", help="instead of those of maintenance_thresholds"),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="of restore: the batch of the quarantine, as its folder is named")
    ] = None,
    ignore_unknown_positions: Annotated[
        bool, typer.Option("--ignore-unknown-positions", help="expire even what a lost reader may need")
    ] = False,
) -> int:
    """Show which maintenance the tables need, or do an operation now; fails when it failed for a table."""
    from lakehouse.maintenance import by_hand
    from lakehouse.pipelines.load import get_pipeline
    from lakehouse.tables.known import require_tables

    if operation and operation not in by_hand.OPERATIONS:
        raise typer.BadParameter(
            f"{operation!r} is not one of {', '.join(by_hand.OPERATIONS)}", param_hint="--operation"
        )
    if batch and not operation:
        raise typer.BadParameter(f"{batch!r} is of the operation restore alone", param_hint="--batch")
    if table:
        require_tables(table)
    tables = [table] if table else get_pipeline(name).tables if name else []
    options = by_hand.options(dry_run, thresholds, ignore_unknown_positions)
    return by_hand.do(operation, tables, options, batch) if operation else by_hand.look_at(tables, options)


@_command("metrics")
def metrics(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 9100,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the platform's figures to Prometheus until the process is ended."""
    from lakehouse.alerting.metrics import serve

    serve(port, host)


@_command("quiesce")
def quiesce() -> int:
    """Stop the jobs with savepoints and keep every table as it is until stdin ends; prints the recovery point as JSON."""
    from lakehouse.streaming import recovery_point

    return recovery_point.main()
