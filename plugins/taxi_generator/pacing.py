"""Computes when events are due."""

from __future__ import annotations

import time
from collections.abc import Callable

#: `batch` sends due events once a second; `realtime` often enough to look even to a consumer.
INTERVALS = {"batch": 1.0, "realtime": 0.02}
#: After a longer stall, in seconds, the stream does not catch up: later events keep the rate.
MAX_CATCH_UP = 1.0


class Pacer:
    """Deadlines of an even stream, computed from its start so that rounding errors do not accumulate.

    After a short stall, the next events are due immediately until the stream has caught up.
    """

    def __init__(self, rate: float, interval: float, clock: Callable[[], float] = time.monotonic):
        self.rate = rate
        #: Number of events that are sent together.
        self.size = max(1, round(rate * interval))
        self._clock = clock
        self._start = clock()
        self._sent = 0

    def due_in(self) -> float:
        """Seconds until the next event is due; 0 if it is due now."""
        return max(0.0, self._start + self._sent / self.rate - self._clock())

    def sent(self, events: int) -> None:
        """Count sent events."""
        self._sent += events
        behind = self._clock() - (self._start + self._sent / self.rate)
        if behind > MAX_CATCH_UP:
            self._start += behind
