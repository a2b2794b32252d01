"""How far event time has advanced in a stage that closes windows, as of the latest commits to its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lakehouse.pipelines.model import Stage
from lakehouse.tables.bounds import latest_maximum, maxima

if TYPE_CHECKING:
    from pyiceberg.table import Table

EVENT_TIME, WATERMARK, WINDOW_END = "event_time", "stream_watermark", "window_end"


@dataclass(frozen=True)
class EventTimeProgress:
    """The event time of the latest rows that were counted in windows.

    :param lag_s: seconds of event time from the watermark to the newest event
    :param standing_s: seconds for which rows have been committed without the watermark advancing
    """

    newest_event: datetime
    watermark: datetime
    lag_s: float
    standing_s: float

    def __str__(self) -> str:
        standing = f", unchanged for {self.standing_s:.0f} s of commits" if self.standing_s else ""
        return f"{self.watermark:%Y-%m-%d %H:%M:%S}, {timedelta(seconds=round(self.lag_s))} behind the newest event{standing}"


def progress(stage: Stage, tables: Mapping[str, Table], longest_s: float) -> EventTimeProgress | None:
    """The progress of event time; None without windows of event time, or before the first rows.

    :param tables: the stage's tables, by name
    :param longest_s: seconds after which earlier commits are not read any more
    """
    if stage.event_time is None:
        return None
    counted = tables[stage.sinks[stage.event_time.counted]]
    windows = tables[stage.aggregates[stage.event_time.windows]]
    newest_event = latest_maximum(counted, EVENT_TIME)
    commits = maxima(counted, WATERMARK)
    latest_ms, watermark = next(commits, (0, None))
    if newest_event is None or watermark is None:
        return None
    since_ms = latest_ms
    for committed_ms, earlier in commits:
        if earlier != watermark:
            break
        since_ms = committed_ms
        if latest_ms - since_ms >= longest_s * 1000:
            break
    # After a restart, the writer of the source finds its watermark again; windows that were closed stay closed.
    reached = max(watermark, latest_maximum(windows, WINDOW_END) or watermark)
    lag_s = max(0.0, (newest_event - reached).total_seconds())
    return EventTimeProgress(newest_event, reached, lag_s, (latest_ms - since_ms) / 1000)
