"""Memory of the platform's processes."""

from collections.abc import Callable

import psutil

from local.watching import Watching


def resident_mb(processes: list[psutil.Process]) -> float:
    """Sum of the resident sets (RSS): a page that several processes share counts for each of them."""
    return sum(_bytes(process, "memory_info", "rss") for process in processes) / 1e6


def proportional_mb(processes: list[psutil.Process]) -> float:
    """Sum of the proportional sets (PSS): each page counts once, so this is the memory that processes really use."""
    return sum(_bytes(process, "memory_full_info", "pss") for process in processes) / 1e6


def _bytes(process: psutil.Process, method: str, field: str) -> int:
    try:
        return getattr(getattr(process, method)(), field)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


class PeakMemory(Watching):
    """Finds the peak resident memory of a changing set of processes while the block runs.

    `rss_mb` and `pss_mb` are the two sums of that moment.
    """

    def __init__(self, processes: Callable[[], list[psutil.Process]]) -> None:
        super().__init__()
        self._processes = processes
        self.rss_mb = self.pss_mb = 0.0

    def look(self) -> None:
        processes = self._processes()
        if (now := resident_mb(processes)) > self.rss_mb:
            self.rss_mb, self.pss_mb = now, proportional_mb(processes)
