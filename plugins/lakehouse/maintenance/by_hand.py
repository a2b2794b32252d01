"""Maintenance from a shell: what the policy says of the tables, and one operation on one of them at once.

As a command: `python -m lakehouse maintenance --help`.
"""

from __future__ import annotations

import argparse
import getpass
import json
import socket
import sys
from dataclasses import asdict

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.maintenance.log import Entry
from lakehouse.maintenance.run import Asked, look, maintain, maintained_tables, purge, restore
from lakehouse.maintenance.settings import Operation
from lakehouse.maintenance.states import remove_old_states


def main(*arguments: str) -> int:
    """Say what each table needs, or do one operation on one table now."""
    parser = argparse.ArgumentParser(prog="python -m lakehouse maintenance", description=main.__doc__)
    parser.add_argument("--table", help="namespace.table; by default all")
    choices = [*Operation, "restore", "purge", "remove_old_states"]
    parser.add_argument("--operation", choices=choices, help="do this; by default only look")
    parser.add_argument("--dry-run", action="store_true", help="change nothing")
    parser.add_argument("--batch", help="of restore: the batch of the quarantine, as its folder is named")
    parser.add_argument("--thresholds", type=json.loads, help="in place of those of maintenance_thresholds, as JSON")
    parser.add_argument(
        "--ignore-unknown-positions", action="store_true", help="expire whatever a lost reader may need"
    )
    options = parser.parse_args(arguments)
    if options.operation == "restore" and options.dry_run:
        parser.error("restore has no dry run: it moves files back and never writes over one")
    asked = Asked(
        by=f"{getpass.getuser()} at {socket.gethostname()}",
        dry_run=options.dry_run,
        at_once=bool(options.operation),
        overruled=options.thresholds,
        ignore_unknown_positions=options.ignore_unknown_positions,
    )
    if options.operation == "restore":
        _show(restore(asked, options.table, options.batch))
    elif options.operation == "purge":
        _show(purge(asked))
    elif options.operation == "remove_old_states":
        _show(remove_old_states(asked))
    else:
        tables = [options.table] if options.table else maintained_tables()
        operations = [Operation(options.operation)] if options.operation else [*Operation]
        # What one table lacks is no reason to leave the others alone.
        done = [_do(table, operation, asked) for table in tables for operation in operations]
        return 0 if all(done) else 1
    return 0


def _do(table: str, operation: Operation, asked: Asked) -> bool:
    """Do it, or look whether it is due; whether that succeeded."""
    try:
        if asked.at_once:
            outcome = maintain(table, operation, asked)
            print(outcome.decision.reason)
            _show(outcome.entry)
        else:
            decision = look(table, operation, asked)
            print(f"{'DUE ' if decision.due else '-   '}{operation:20} {decision.score:10.2f}  {decision.reason}")
    except (AirflowException, FlinkError, OSError) as error:
        notes = "".join(f". {note}" for note in getattr(error, "__notes__", ()))
        print(f"error: {operation} of {table}: {error}{notes}", file=sys.stderr)
        return False
    return True


def _show(entry: Entry | None) -> None:
    """The row of the log, or that there is none."""
    print(json.dumps(asdict(entry), indent=2, default=str) if entry else "Nothing to do.")
