"""What a person sees while something takes longer than a moment."""

import sys
import time

REPORT_EVERY_S = 5


class Progress:
    """Lines that stay, each with the seconds since the start, and one line of what is awaited right now."""

    def __init__(self) -> None:
        self._began = self._reported = time.monotonic()
        self._terminal = sys.stdout.isatty()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def done(self, text: str) -> None:
        """Write a line that stays."""
        self.clear()
        self._reported = time.monotonic()
        print(f"  {self.seconds:5.1f} s  {text}", flush=True)

    def waiting(self, text: str) -> None:
        """Show what is awaited: in place on a terminal, else as a line every few seconds."""
        if self._terminal:
            print(f"\r\033[K  {self.seconds:5.1f} s  {text[:100]}", end="", flush=True)
        elif time.monotonic() - self._reported >= REPORT_EVERY_S:
            self.done(text)

    def clear(self) -> None:
        """Take the line in place away."""
        if self._terminal:
            print("\r\033[K", end="", flush=True)
