"""When events are due."""

from __future__ import annotations

import time
from collections.abc import Callable

#: `batch` sends what is due once a second; `realtime` often enough to look smooth to a reader.
INTERVALS = {"batch": 1.0, "realtime": 0.02}
#: A stall longer than this is not made up for: the events after it keep the rate.
FORGIVEN = 1.0


class Pacer:
    """Deadlines of an even stream, counted from its start so that no rounding adds up.

    After a short stall the next events follow at once until the stream is where it should be.
    """

    def __init__(self, rate: float, interval: float, clock: Callable[[], float] = time.monotonic):
        self.rate = rate
        #: Events that are sent together.
        self.size = max(1, round(rate * interval))
        self._clock = clock
        self._start = clock()
        self._sent = 0

    def due_in(self) -> float:
        """Seconds until the next event is due; 0 when it is."""
        return max(0.0, self._start + self._sent / self.rate - self._clock())

    def sent(self, events: int) -> None:
        """Count what was sent."""
        self._sent += events
        behind = self._clock() - (self._start + self._sent / self.rate)
        if behind > FORGIVEN:
            self._start += behind
