"""Deletes rows from Iceberg tables by the position of their event, while jobs read and write these tables.

pyiceberg's `delete` rewrites the files that contain such rows (copy-on-write). Flink's writer can commit after it, and its
streaming reader skips such a commit, because it reads appends only.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance.lease import lease
from lakehouse.reconciliation.changes import POSITION
from lakehouse.reconciliation.positions import Positions
from lakehouse.tables.commits import MADE_FOR, commit_tries

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression


def delete_rows(tables: Iterable[str], positions: Positions, holder: str) -> dict[str, int]:
    """Delete the rows of these events from each table in turn.

    :param holder: who deletes: recorded in the snapshots, and the holder of the tables' leases
    :return: table -> rows deleted from it; tables without any are left out
    :raises CommitFailedException: every try conflicted with another commit
    :raises TimeoutError: the lease of a table was not free in time
    """
    deleted = {}
    for name in tables:
        with lease(name, "an erasure", holder):
            if rows := _delete(name, positions, holder):
                deleted[name] = rows
    return deleted


def _delete(name: str, positions: Positions, made_for: str) -> int:
    """Return the number of deleted rows."""
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    if not positions:
        return 0
    wanted = _rows_of(positions)
    for attempt in commit_tries():
        with attempt:
            table = IcebergCatalogHook().table(name)
            rows: int = table.scan(wanted, selected_fields=POSITION).to_arrow().num_rows
            if rows:
                try:
                    table.delete(wanted, snapshot_properties={MADE_FOR: made_for})
                except ValidationException as error:  # its files were rewritten, or new ones might contain these events
                    raise CommitFailedException(str(error)) from error
            return rows
    raise AssertionError("unreachable: the last try raises")


def _rows_of(positions: Positions) -> BooleanExpression:
    """The filter for the rows of these events; its bounds let files be skipped without being read."""
    from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, In, LessThan, Or

    partition_column, offset_column = POSITION
    offsets: dict[int, list[int]] = {}
    for partition, start, end in positions.spans():
        offsets.setdefault(partition, []).extend(range(start, end))
    filters: list[BooleanExpression] = [
        # The constructors are inherited, which pydantic's mypy plugin does not see.
        And(
            EqualTo(partition_column, partition),  # type: ignore[call-arg, misc]
            GreaterThanOrEqual(offset_column, found[0]),  # type: ignore[call-arg, misc]
            LessThan(offset_column, found[-1] + 1),  # type: ignore[call-arg, misc]
            In(offset_column, found),  # type: ignore[call-arg, misc]
        )
        for partition, found in offsets.items()
    ]
    return reduce(Or, filters)
