"""Maintenance from a shell: what the policy says of tables, and an operation done at once.

Each function prints, and returns an exit status: 1 when something failed for a table.
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

#: What `do` can do: an operation on tables, or something to the whole warehouse.
OPERATIONS = (*(operation.value for operation in Operation), "restore", "purge", "remove_old_states")


def options(
    dry_run: bool = False, overridden: Mapping[str, Any] | None = None, ignore_unknown_positions: bool = False
) -> Options:
    """What this person asks for.

    :raises AirflowException: a threshold cannot be used
    """
    thresholds(overridden)
    person = f"{getpass.getuser()} at {socket.gethostname()}"
    return Options(person, dry_run, overridden=overridden, ignore_unknown_positions=ignore_unknown_positions)


def look_at(tables: Sequence[str], options: Options) -> int:
    """Print for each table and operation whether it is due, and why; for no table, of all that are maintained."""

    def look(table: str, operation: Operation) -> None:
        decision = run.look(table, operation, options)
        print(f"{'DUE ' if decision.due else '-   '}{operation:20} {decision.score:10.2f}  {decision.reason}")

    return _for_each(tables, [*Operation], look)


def do(operation: str, tables: Sequence[str], options: Options, batch: str | None = None) -> int:
    """Do one of `OPERATIONS` now, whether or not its time has come, and print the rows of the log.

    :param tables: for none, all that are maintained; of `restore`: at most one, whose files come back
    :param batch: of `restore`: the batch of the quarantine, as its folder is named
    :raises AirflowException, FlinkError: the arguments do not fit each other, or something on the whole warehouse failed
    """
    if batch and operation != "restore":
        raise AirflowException(f"{operation} takes no batch ({batch!r}). Next: leave it out, or restore")
    if tables and operation in ("purge", "remove_old_states"):
        raise AirflowException(f"{operation} is about the whole warehouse. Next: leave out {', '.join(tables)}")
    match operation:
        case "restore":
            if options.dry_run:
                raise AirflowException(
                    "restore has no dry run: it moves files back, and never over one that exists. Next: leave the dry run out"
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
                outcome = run.maintain(table, operation, replace(options, at_once=True))
                print(outcome.decision.reason)
                _show(outcome.entry)

            return _for_each(tables, [Operation(operation)], maintain)
    return 0


def _for_each(tables: Sequence[str], operations: Sequence[Operation], act: Callable[[str, Operation], None]) -> int:
    """What fails for one table does not keep the others from their turn."""
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
            f"There is no batch {batch!r} in quarantine. Next: give one of {', '.join(batches) or '(it is empty)'}"
        )


def _show(entry: LogEntry | None) -> None:
    """The row of the log, or that there is none."""
    print(json.dumps(asdict(entry), indent=2, default=str) if entry else "Nothing to do.")
