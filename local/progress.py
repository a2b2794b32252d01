"""Output of commands: progress, and errors."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from local.config import PlatformError

REPORT_EVERY_S = 5


class Progress:
    """Prints permanent lines with the seconds since the start, and one temporary line with what is awaited now."""

    def __init__(self) -> None:
        self._began = self._reported = time.monotonic()
        self._terminal = sys.stdout.isatty()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def done(self, text: str) -> None:
        """Print a permanent line."""
        self.clear()
        self._reported = time.monotonic()
        print(f"  {self.seconds:5.1f} s  {text}", flush=True)

    def waiting(self, text: str) -> None:
        """Show what is awaited: in place on a terminal, otherwise as a line every few seconds."""
        if self._terminal:
            print(f"\r\033[K  {self.seconds:5.1f} s  {text[:100]}", end="", flush=True)
        elif time.monotonic() - self._reported >= REPORT_EVERY_S:
            self.done(text)

    def clear(self) -> None:
        """Remove the temporary line."""
        if self._terminal:
            print("\r\033[K", end="", flush=True)


def exit_status(command: Callable[[], object]) -> int:
    """Run a command; return 1 after an error, which is printed, and 130 after an interrupt.

    A closed pipe (`| head`) is not an error.
    """
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at exit
    except (PlatformError, OSError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; what was started continues (make status, make down)", file=sys.stderr)
        return 130
    return 0
