"""Memory of the platform's processes."""

import threading
from collections.abc import Callable

import psutil

SAMPLE_EVERY_S = 0.5


def resident_mb(processes: list[psutil.Process]) -> float:
    """Sum of the resident sets; pages that processes share count for each, so the truth is a little less."""
    return sum(map(_resident, processes)) / 1e6


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


class PeakMemory:
    """The largest resident memory of a changing set of processes while the block runs: `peak_mb`."""

    def __init__(self, processes: Callable[[], list[psutil.Process]]) -> None:
        self._processes = processes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mb = 0.0

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            self.peak_mb = max(self.peak_mb, resident_mb(self._processes()))
