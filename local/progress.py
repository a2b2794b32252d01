"""What a person sees of a command: while it takes longer than a moment, and when it fails."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from local.config import PlatformError

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


def exit_status(command: Callable[[], object]) -> int:
    """Run a command; 1 with its reason when it fails, 130 when it is interrupted.

    A reader that has seen enough (`| head`) is no failure.
    """
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still writes at its end
    except (PlatformError, OSError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; what was started continues (make status, make down)", file=sys.stderr)
        return 130
    return 0
