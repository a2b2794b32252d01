"""The command line of the platform: `python -m lakehouse COMMAND`; `make help` lists the same commands as targets.

A command imports what it needs when it runs, so that it starts quickly, and a module that cannot be imported breaks only its own
command. Answers go to stdout and errors to stderr; nothing is logged.
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
MAX_ROWS = 1_000_000_000
app = typer.Typer(
    help="The platform from a shell.", add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False,
)  # fmt: skip

Name = Annotated[str | None, typer.Option("--pipeline", help="name of the pipeline; optional if only one is enabled")]
AnyName = Annotated[str | None, typer.Option("--pipeline", help="name of the pipeline; by default all enabled ones")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
StageName = Annotated[str | None, typer.Option("--stage", help="only this stage")]
Reason = Annotated[str | None, typer.Option(help="only this reason")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="change nothing")]
Table = Annotated[str, typer.Argument(metavar="TABLE", help="namespace.table")]


class Engine(StrEnum):
    """The engine for a time-travel query."""

    DUCKDB = "duckdb"
    PYICEBERG = "pyiceberg"
    FLINK = "flink"


def main() -> None:
    """Run one command; exit with 1 if it failed or its check did, with 2 if it was called incorrectly."""
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
    """The error about an invalid argument: which one, its value, and the valid values."""
    from pydantic import ValidationError

    from lakehouse.validation import reasons

    if isinstance(error.__cause__, ValidationError):
        error.message = reasons(error.__cause__)
    text = error.format_message()
    return ValueError(
        text if "Next: " in text else f"{text.rstrip('.')}. Next: `make help` shows the arguments of each command"
    )


def _expected_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is all that a user needs."""
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
    """Declare a command, whose return value is its exit status.

    :param on_platform: whether it uses the platform's connections and variables
    """

    def declare(function: Callable[..., int | None]) -> Callable[..., int | None]:
        @wraps(function)
        def run(*arguments: Any, **options: Any) -> None:
            # Before Airflow is imported: its log, and warnings about short passwords, would get mixed with the answer.
            os.environ.setdefault(LOG_LEVEL, "CRITICAL")
            if on_platform:
                from lakehouse.airflow import settings

                settings.apply_to_environment()
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
    """The pipeline with this name, or the only enabled one.

    :raises DeclarationError: there is no such pipeline, or the name is required
    """
    from lakehouse.pipelines.load import DeclarationError, enabled_pipelines, get_pipeline

    if name:
        return get_pipeline(name)
    enabled = enabled_pipelines()
    if len(enabled) == 1:
        return enabled[0]
    names = ", ".join(pipeline.name for pipeline in enabled) or "(none is enabled)"
    raise DeclarationError(f"Which pipeline? Next: set --pipeline (make: PIPELINE=) to one of {names}")


def _each(name: str | None, show: Callable[[Pipeline], bool]) -> int:
    """Show the pipeline with this name, or all enabled ones: an error in one does not hide the others.

    :param show: prints a pipeline; returns whether it is fine
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
    """Print the problem of each invalid declaration; return whether there is one."""
    for problem in declared.problems.values():
        print(f"error: include/pipelines/{problem}", file=sys.stderr)
    return bool(declared.problems)


def _mapping(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f'{text!r} is not a JSON object. Next: write one like {{"retain_last": 10}}')
    return found


def _sql(text: str) -> str:
    return _written(text, "query", 'make query SQL="select 1"')


def _condition(text: str) -> str:
    return _written(text, "condition", "make erase WHERE=\"trip_id = 'a1'\"")


def _written(text: str, what: str, example: str) -> str:
    """Check SQL from the command line."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not UTF-8. Next: write the {what} in UTF-8") from None
    if not text.strip():
        raise ValueError(f"The {what} is empty. Next: write one, as in {example}")
    return text


def _memory(text: str) -> str:
    if not re.fullmatch(MEMORY, text):
        raise ValueError(f"{text!r} is not a memory size. Next: write it like 512MB or 2GB")
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
    """List all declared pipelines; fails if a declaration is invalid."""
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
    name: Annotated[str, typer.Argument(metavar="NAME", help="name of the pipeline: lower-case letters, digits and _")],
    sample: Annotated[
        Path, typer.Argument(metavar="FILE", help="events as JSON lines, CSV or Parquet", exists=True, dir_okay=False)
    ],
    key: Annotated[str | None, typer.Option(help="fields that identify an event, separated by commas")] = None,
    time: Annotated[str | None, typer.Option(help="field with the time of an event")] = None,
) -> None:
    """Generate a pipeline's declaration, contract, SQL and dbt models from a sample of its events."""
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
    """Generate a pipeline's dbt source and manifest, and docs/tables.md, after a change of its contract or models."""
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
    stage: Annotated[str | None, typer.Option(help="only this stage, without the health check")] = None,
) -> None:
    """Deploy the Flink jobs as declared: run the DAG flink_jobs once in this process."""
    command = ["airflow", "dags", "test", "flink_jobs"]
    if name or stage:
        command += ["--mark-success-pattern", _all_tasks_but(_one(name), stage)]
    os.execvp(command[0], command)


def _all_tasks_but(pipeline: Pipeline, stage: str | None) -> str:
    """Pattern of the tasks of flink_jobs that a run for this pipeline or stage skips."""
    from lakehouse.pipelines.load import get_stage

    tasks = ".*"
    if stage:
        get_stage(f"{pipeline.name}.{stage}")
        tasks = f"(create_.*|register_contract|(deploy|stop)_{stage})"
    return rf"(?!(wait_for_cluster|{pipeline.name}\.{tasks})$).*"


# Health and quality ----------------------------------------------------------------------------------------------


@_command("health")
def health(name: AnyName = None) -> int:
    """Show each streaming job, and why it is unhealthy; fails if one is."""
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
    """Count the rows from the topic to Gold; fails if there are differences that rows in flight cannot explain."""
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
    """Acknowledge the loss of events that Kafka deleted before they were read: the ledger counts them as lost from then on."""
    from lakehouse.reconciliation.reconcile import acknowledge_loss

    pipeline = _one(name)
    for stage in pipeline.stages.values():
        if stage.reads_topic:
            lost = acknowledge_loss(pipeline, stage)
            print(f"{stage.job}: {len(lost):,} events are acknowledged as lost{f' ({lost})' if lost else ''}")


@_command("erase")
def erase(
    table: Table,
    where: Annotated[
        str, typer.Argument(parser=_condition, metavar="WHERE", help="condition on its columns, in DuckDB's SQL")
    ],
    reason: Annotated[str, typer.Option(help="reason, for the log ops.erasures")] = "",
    agreed: Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")] = False,
    dry_run: DryRun = False,
) -> int:
    """Erase the rows that a condition selects in one table, and all other rows of the same events."""
    from lakehouse.erasure.erase import erase, remaining_copies
    from lakehouse.erasure.selection import select

    selection = select(table, where)
    _print_rows({"table": name, "rows": rows} for name, rows in selection.rows.items())
    print(f"{len(selection.positions):,} events of {selection.pipeline.name}, selected in {table}")
    if selection.interrupted:
        print(f"{len(selection.interrupted):,} interrupted erasures will be completed too")
    if dry_run or not selection.everything:
        return 0
    question = "Erase these rows? This cannot be undone [y/N] "
    if not agreed and (not sys.stdin.isatty() or input(question).strip().lower() not in ("y", "yes")):
        print("error: nothing was erased. Next: confirm it (YES=1 in a script)", file=sys.stderr)
        return 1
    for name, rows in erase(selection, reason).items():
        print(f"{name}: {rows:,} rows erased")
    print("\n".join(remaining_copies(selection.pipeline)))
    return 0


@_command("audit")
def audit(
    name: Name = None,
    partition: Annotated[int | None, typer.Option(min=0, help="only this Kafka partition")] = None,
    first_offset: Annotated[
        int | None, typer.Option(min=0, max=BIGINT[-1], help="only events from this offset on")
    ] = None,
    last_offset: Annotated[
        int | None, typer.Option(min=0, max=BIGINT[-1], help="only events up to and including this offset")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            parser=epoch_ms, metavar="TIME", help="only events since then (ISO 8601, in UTC unless it has an offset)"
        ),
    ] = None,
    at_rest: Annotated[
        bool, typer.Option("--at-rest", help="no rows are in flight: whatever has not arrived is missing")
    ] = False,
    memory_limit: Annotated[str, typer.Option(parser=_memory, metavar="SIZE", help="of DuckDB")] = "1GB",
    as_json: Json = False,
) -> int:
    """Compare every stage with its source, row by row; fails if anything is missing, duplicated or altered."""
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
        int | None,
        typer.Option(min=0, max=MAX_ROWS, help="maximum number per stage; by default 10, or all with --file"),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="write them to this new file as JSON lines, to be fixed")] = None,
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
        str | None, typer.Option(help="JSON lines in the format of `rejects --file`, with fixed payloads")
    ] = None,
    stage: StageName = None,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Send fixed events from a file, or unchanged ones that a stage rejected for a reason; each at most once."""
    from lakehouse.quality.rejects import run

    done = run(_one(name), file, stage, reason, dry_run)
    verb = "would be sent" if dry_run else "were sent"
    print(f"{done['sent']:,} events {verb}, {done['sent_before']:,} had been sent before")


# Gold ------------------------------------------------------------------------------------------------------------


def _dbt_command(name: str, what: str, function: str) -> None:
    def run(name: Name = None) -> int:
        from lakehouse.gold import dbt

        return getattr(dbt, function)(_one(name))

    run.__doc__ = what
    _command(name)(run)


for _name, _what in {
    "deps": "Show that no dbt package is needed.",
    "build": "Build and test Gold from the current version of its source, and publish it.",
    "test": "Run every dbt test on a copy of the published Gold file.",
    "docs": "Write the documentation of Gold as one HTML page.",
}.items():
    _dbt_command(f"dbt-{_name}", _what, _name)


@_command("query")
def query(
    sql: Annotated[str, typer.Argument(parser=_sql, metavar="SQL", help="DuckDB SQL")], name: Name = None
) -> None:
    """Query the published Gold file."""
    import duckdb
    from airflow.sdk.exceptions import AirflowException

    from lakehouse.gold.file import count_fact, published_file

    pipeline = _one(name)
    count_fact(pipeline)  # reports a missing file with the next step
    with duckdb.connect(str(published_file(pipeline)), read_only=True) as gold:
        gold.execute("SET python_enable_replacements = false")  # names in the query must not refer to Python variables
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
        limit: Annotated[int, typer.Option(min=1, max=MAX_ROWS, help="maximum number of rows")] = 50,
        flink: Annotated[bool, typer.Option("--flink", help="use Flink SQL instead of pyiceberg")] = False,
    ) -> None:
        from lakehouse.tables.inspect import ask, ask_flink
        from lakehouse.tables.known import require_tables

        require_tables(table)
        _print_rows((ask_flink if flink else ask)(question, table, limit=limit))

    run.__doc__ = what
    _command(question)(run)


for _name, _what in {
    "history": "Show when each snapshot of a table became current.",
    "snapshots": "Show what each commit to a table did.",
    "files": "Show the files of a table, smallest first.",
    "table-size": "Count files, rows and bytes of a table.",
}.items():
    _question_command(_name, _what)


@_command("query-at")
def query_at(
    table: Table,
    at: Annotated[
        str, typer.Argument(metavar="AT", help="a time (ISO 8601, in UTC unless it has an offset) or a snapshot id")
    ],
    sql: Annotated[
        str | None,
        typer.Option(parser=_sql, metavar="SQL", help="{table} stands for the table; by default its rows are counted"),
    ] = None,
    engine: Annotated[Engine, typer.Option()] = Engine.DUCKDB,
) -> None:
    """Query a table as of a time or snapshot."""
    from lakehouse.tables.inspect import COUNT, query_at
    from lakehouse.tables.known import require_tables

    require_tables(table)
    _print_rows(query_at(table, at, sql or COUNT, engine.value))


@_command("maintenance")
def maintenance(
    name: Annotated[
        str | None, typer.Option("--pipeline", help="tables of this pipeline; by default all tables")
    ] = None,
    table: Annotated[str | None, typer.Option(help="only this table (namespace.table)")] = None,
    operation: Annotated[
        str | None, typer.Option(help="run now: an operation on tables, restore, purge or remove_old_states")
    ] = None,
    dry_run: DryRun = False,
    thresholds: Annotated[
        dict[str, Any] | None,
        typer.Option(parser=_mapping, metavar="JSON", help="overrides of maintenance_thresholds"),
    ] = None,
    batch: Annotated[str | None, typer.Option(help="for restore: folder name of a batch in quarantine")] = None,
    ignore_unknown_positions: Annotated[
        bool,
        typer.Option(
            "--ignore-unknown-positions",
            help="expire snapshots even if a reader whose position is unknown may need them",
        ),
    ] = False,
) -> int:
    """Show which maintenance the tables need, or run an operation now; fails if it failed for a table."""
    from lakehouse.maintenance import shell
    from lakehouse.pipelines.load import get_pipeline
    from lakehouse.tables.known import require_tables

    if operation and operation not in shell.OPERATIONS:
        raise typer.BadParameter(f"{operation!r} is not one of {', '.join(shell.OPERATIONS)}", param_hint="--operation")
    if batch and not operation:
        raise typer.BadParameter(f"{batch!r} is only for the operation restore", param_hint="--batch")
    if table:
        require_tables(table)
    tables = [table] if table else get_pipeline(name).tables if name else []
    options = shell.options(dry_run, thresholds, ignore_unknown_positions)
    return (
        shell.run_operation(operation, tables, options, batch) if operation else shell.print_decisions(tables, options)
    )


@_command("metrics")
def metrics(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 9100,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the platform's metrics to Prometheus until the process is terminated."""
    from lakehouse.alerting.metrics import serve

    serve(port, host)


@_command("quiesce")
def quiesce() -> int:
    """Stop the jobs with savepoints and lock all tables until stdin ends; prints the recovery point as JSON."""
    from lakehouse.streaming import recovery_point

    return recovery_point.main()
