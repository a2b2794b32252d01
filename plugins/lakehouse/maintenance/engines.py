"""Each operation, done by its one engine: what it was given, and what came of it, in the same terms for both engines."""

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
class EngineRequest:
    """One action on a table whose lease is held.

    :param arguments: of each call, as the policy made them
    """

    table: Table
    lease: Lease
    arguments: tuple[Mapping[str, Any], ...]
    limits: Thresholds
    dry_run: bool = False
    ignore_unknown_positions: bool = False

    def call(self, operation: Operation, **more: Any) -> list[dict[str, Any]]:
        """The rows of each call of the Flink procedure."""
        common = {"table": table_name(self.table), "dry_run": self.dry_run, **more}
        return [row for given in self.arguments for row in call(operation, self.lease.note_session, **common, **given)]


@dataclass(frozen=True)
class EngineResult:
    """What came of it. Other parameters as in `lakehouse.maintenance.log.LogEntry`.

    :param problem: what of it could not be done
    """

    result: Any
    protected: list[Protected] = field(default_factory=list)
    deleted_files: int = 0
    deleted_bytes: int = 0
    problem: str = ""


def _rewrite_data_files(request: EngineRequest) -> EngineResult:
    rows = request.call(Operation.REWRITE_DATA_FILES)
    return EngineResult(rows, problem=failed_groups(rows))


def _rewrite_manifests(request: EngineRequest) -> EngineResult:
    """The procedure has no dry run: what the policy found is all that can be said before."""
    return EngineResult(None if request.dry_run else request.call(Operation.REWRITE_MANIFESTS))


def _expire_snapshots(request: EngineRequest) -> EngineResult:
    protected = protected_snapshots(
        table_name(request.table), request.lease.note_session, request.ignore_unknown_positions
    )
    rows = request.call(Operation.EXPIRE_SNAPSHOTS, ignore_unknown_positions=request.ignore_unknown_positions)
    size = sum(int(row["deleted_bytes_count"]) for row in rows)
    return EngineResult(rows, protected, deleted_files(rows), size, undeleted_files(rows))


def _remove_orphan_files(request: EngineRequest) -> EngineResult:
    [given] = request.arguments
    found = orphans.find(request.table, given["older_than"], request.limits.orphan_percent)
    batch = None if request.dry_run else orphans.remove(request.table, found, request.lease.check)
    result = {
        "listed_files": found.listed,
        "quarantine": batch and batch.uri,
        "first": [f.location.uri for f in found.files[:20]],
    }
    return EngineResult(result, deleted_files=len(found.files), deleted_bytes=found.bytes)


DO: Mapping[Operation, tuple[Engine, Callable[[EngineRequest], EngineResult]]] = {
    Operation.REWRITE_DATA_FILES: (Engine.FLINK, _rewrite_data_files),
    Operation.REWRITE_MANIFESTS: (Engine.FLINK, _rewrite_manifests),
    Operation.EXPIRE_SNAPSHOTS: (Engine.FLINK, _expire_snapshots),
    Operation.REMOVE_ORPHAN_FILES: (Engine.PYICEBERG, _remove_orphan_files),
}
