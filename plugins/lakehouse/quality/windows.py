"""The ledger of event time: each row that a stage counts is in one closed window, or in a window that is still open.

A window is closed when the watermark has passed its end; so every window that ends by `closed_until` is closed, and every later
one is open.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.pipelines.model import Stage
from lakehouse.streaming.event_time import WINDOW_END
from lakehouse.waiting import wait_until

if TYPE_CHECKING:
    from pyiceberg.table import Table

#: The tables of one checkpoint are committed one after the other, within this time.
COMMIT_LIMIT_S = 15


@dataclass(frozen=True)
class WindowLedger:
    """Numbers of a stage's rows by window.

    :param counted: rows that are counted in windows, closed or open
    :param closed: rows in closed windows, as the windows say
    :param open: counted rows whose window ends after `closed_until`
    :param erased: events of the pipeline that were erased on request; windows that were closed before still count them
    :param closed_until: end of the last closed window, in event time; None before the first
    """

    counted: int
    closed: int
    open: int
    erased: int = 0
    closed_until: datetime | None = None

    @property
    def difference(self) -> int:
        """Rows that were counted, but are in no window; negative: rows of windows that were not counted, nor erased."""
        missing = self.counted - self.closed - self.open
        return 0 if -self.erased <= missing < 0 else missing

    def as_dict(self) -> dict[str, Any]:
        """The numbers as JSON-compatible data, with times in ISO 8601."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


def read_windows(stage: Stage, erased: int = 0) -> WindowLedger | None:
    """Compare a stage's windows with its counted rows; None if it has no windows of event time.

    Reads the windows, and the rows of open windows.

    :param erased: events that were erased from the pipeline on request
    :raises AirflowException: a table is missing, or the catalog or the warehouse is unavailable
    """
    declared = stage.event_time
    if declared is None:
        return None
    iceberg = IcebergCatalogHook()
    with iceberg.answering():
        # Windows before the rows: rows that are counted in between are in later, open windows.
        closed, closed_until = _closed(iceberg.table(stage.aggregates[declared.windows]), declared.rows)
        seen: list[WindowLedger] = []

        def agrees() -> bool:
            seen[:] = [_counted(iceberg.table(stage.sinks[declared.counted]), closed, closed_until, erased)]
            return not seen[0].difference

        with suppress(TimeoutError):  # the difference is the answer
            wait_until(agrees, "the commits of one checkpoint", COMMIT_LIMIT_S)
        return seen[0]


def _closed(windows: Table, rows: str) -> tuple[int, datetime | None]:
    """Number of rows in closed windows, and the end of the last one."""
    import pyarrow.compute as pc

    found = windows.scan(selected_fields=(WINDOW_END, rows)).to_arrow()
    if not found.num_rows:
        return 0, None
    return pc.sum(found[rows]).as_py(), pc.max(found[WINDOW_END]).as_py()


def _counted(table: Table, closed: int, closed_until: datetime | None, erased: int) -> WindowLedger:
    from pyiceberg.expressions import GreaterThan

    counted = row_count(table)
    if closed_until is None:
        return WindowLedger(counted, closed, counted, erased)
    is_open = GreaterThan(WINDOW_END, closed_until.isoformat())  # type: ignore[call-arg, misc]
    rows = table.scan(row_filter=is_open, selected_fields=(WINDOW_END,)).count()
    return WindowLedger(counted, closed, rows, erased, closed_until)
