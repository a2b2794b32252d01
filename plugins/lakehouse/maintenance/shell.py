"""Maintenance from a shell: print the policy's decisions, or run an operation now.

Each function prints, and returns an exit status: 1 if something failed for a table.
"""

from __future__ import annotations

import getpass
import json
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.maintenance import run, states
from lakehouse.maintenance.log import LogEntry
from lakehouse.maintenance.quarantine import Quarantine
from lakehouse.maintenance.run import Options
from lakehouse.maintenance.settings import Operation, thresholds
from lakehouse.texts import message

#: What `run_operation` accepts: operations on tables, and those on the whole warehouse.
OPERATIONS = (*(operation.value for operation in Operation), "restore", "purge", "remove_old_states")


def options(
    dry_run: bool = False, overrides: Mapping[str, Any] | None = None, ignore_unknown_positions: bool = False
) -> Options:
    """Options of an operation that this user requests.

    :raises AirflowException: a threshold is unknown or invalid
    """
    thresholds(overrides)
    user = f"{getpass.getuser()} at {socket.gethostname()}"
    return Options(user, dry_run, overrides=overrides, ignore_unknown_positions=ignore_unknown_positions)


def print_decisions(tables: Sequence[str], options: Options) -> int:
    """Print for each operation on these tables, or on all maintained ones, whether it is due and why."""

    def show(table: str, operation: Operation) -> None:
        decision = run.decide_now(table, operation, options)
        print(f"{'DUE ' if decision.due else '-   '}{operation:20} {decision.score:10.2f}  {decision.reason}")

    return _for_each(tables, [*Operation], show)


def run_operation(operation: str, tables: Sequence[str], options: Options, batch: str | None = None) -> int:
    """Run one of `OPERATIONS` now, whether or not it is due, and print the log entries.

    :param tables: by default all maintained ones; for `restore`, at most one, whose files are restored
    :param batch: for `restore`, the folder name of a batch in quarantine
    :raises AirflowException, FlinkError: the arguments contradict each other, or an operation on the whole warehouse failed
    """
    if batch and operation != "restore":
        raise AirflowException(f"{operation} takes no batch ({batch!r}). Next: leave it out, or choose restore")
    if tables and operation in ("purge", "remove_old_states"):
        raise AirflowException(f"{operation} applies to the whole warehouse. Next: leave out {', '.join(tables)}")
    match operation:
        case "restore":
            if options.dry_run:
                raise AirflowException(
                    "restore has no dry run: it moves files back, and never overwrites one. Next: leave the dry run out"
                )
            if len(tables) > 1:
                raise AirflowException(
                    f"restore takes one table, not {', '.join(tables)}. Next: give one, or none for all"
                )
            if batch:
                _require_batch(batch)
            _show(run.restore(options, next(iter(tables), None), batch))
        case "purge":
            _show(run.purge(options))
        case "remove_old_states":
            _show(states.remove_old_states(options))
        case _:

            def maintain(table: str, operation: Operation) -> None:
                decision, entry = run.maintain(table, operation, replace(options, force=True))
                print(decision.reason)
                _show(entry)

            return _for_each(tables, [Operation(operation)], maintain)
    return 0


def _for_each(tables: Sequence[str], operations: Sequence[Operation], act: Callable[[str, Operation], None]) -> int:
    """Call `act` for each table and operation; a failure does not stop the others."""
    status = 0
    for table in tables or run.maintained_tables():
        for operation in operations:
            try:
                act(table, operation)
            except (AirflowException, FlinkError, OSError) as error:
                print(f"error: {operation} of {table}: {message(error)}", file=sys.stderr)
                status = 1
    return status


def _require_batch(batch: str) -> None:
    batches = list(dict.fromkeys(kept.batch for kept in Quarantine().kept()))
    if batch not in batches:
        raise AirflowException(
            f"There is no batch {batch!r} in quarantine. Next: choose one of {', '.join(batches) or '(it is empty)'}"
        )


def _show(entry: LogEntry | None) -> None:
    """Print a log entry."""
    print(json.dumps(asdict(entry), indent=2, default=str) if entry else "Nothing to do.")
