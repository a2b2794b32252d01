"""Executes each operation with its engine, with the same request and result for both engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.maintenance import orphans
from lakehouse.maintenance.lease import Lease
from lakehouse.maintenance.observe import table_name
from lakehouse.maintenance.procedures import (
    Protected,
    call,
    deleted_files,
    failed_groups,
    protected_snapshots,
    undeleted_files,
)
from lakehouse.maintenance.settings import Engine, Operation, Thresholds

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class OperationRequest:
    """One operation on a table whose lease is held.

    :param arguments: arguments of each call, from the policy's decision
    """

    table: Table
    lease: Lease
    arguments: tuple[Mapping[str, Any], ...]
    limits: Thresholds
    dry_run: bool = False
    ignore_unknown_positions: bool = False

    def call(self, operation: Operation, **more: Any) -> list[dict[str, Any]]:
        """Call the Flink procedure once for each set of arguments; return the rows of all calls."""
        common = {"table": table_name(self.table), "dry_run": self.dry_run, **more}
        return [row for given in self.arguments for row in call(operation, self.lease.note_session, **common, **given)]


@dataclass(frozen=True)
class OperationResult:
    """The result of an operation. Other parameters as in `lakehouse.maintenance.log.LogEntry`.

    :param problem: which part of it could not be done; empty if all was done
    """

    result: Any
    protected: list[Protected] = field(default_factory=list)
    deleted_files: int = 0
    deleted_bytes: int = 0
    problem: str = ""


def _rewrite_data_files(request: OperationRequest) -> OperationResult:
    rows = request.call(Operation.REWRITE_DATA_FILES)
    return OperationResult(rows, problem=failed_groups(rows))


def _rewrite_manifests(request: OperationRequest) -> OperationResult:
    """The procedure has no dry run: then the policy's decision is all there is to report."""
    return OperationResult(None if request.dry_run else request.call(Operation.REWRITE_MANIFESTS))


def _expire_snapshots(request: OperationRequest) -> OperationResult:
    protected = protected_snapshots(
        table_name(request.table), request.lease.note_session, request.ignore_unknown_positions
    )
    rows = request.call(Operation.EXPIRE_SNAPSHOTS, ignore_unknown_positions=request.ignore_unknown_positions)
    size = sum(int(row["deleted_bytes_count"]) for row in rows)
    return OperationResult(rows, protected, deleted_files(rows), size, undeleted_files(rows))


def _remove_orphan_files(request: OperationRequest) -> OperationResult:
    [given] = request.arguments
    found = orphans.find(request.table, given["older_than"], request.limits.orphan_percent)
    batch = None if request.dry_run else orphans.remove(request.table, found, request.lease.check)
    result = {
        "listed_files": found.listed,
        "quarantine": batch and batch.uri,
        "first": [f.location.uri for f in found.files[:20]],
    }
    return OperationResult(result, deleted_files=len(found.files), deleted_bytes=found.bytes)


ENGINES: Mapping[Operation, tuple[Engine, Callable[[OperationRequest], OperationResult]]] = {
    Operation.REWRITE_DATA_FILES: (Engine.FLINK, _rewrite_data_files),
    Operation.REWRITE_MANIFESTS: (Engine.FLINK, _rewrite_manifests),
    Operation.EXPIRE_SNAPSHOTS: (Engine.FLINK, _expire_snapshots),
    Operation.REMOVE_ORPHAN_FILES: (Engine.PYICEBERG, _remove_orphan_files),
}
