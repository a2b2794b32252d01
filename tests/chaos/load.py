"""The steady load: the platform's generator in a separate process, restarted when a fault ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Self

RATE = 2_000
STOP_LIMIT_S = 90
AGAIN_AFTER_S = 1.0


class Load:
    """A stream of new trips while the block runs. Each generator has another seed, because trips of a used one would
    be duplicates.
    """

    def __init__(self, log: Path, seeds: Iterator[int], rate: int = RATE) -> None:
        self._log = log
        self._seeds = seeds
        self._rate = rate
        self._over = Event()
        self._thread = Thread(target=self._keep_running, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _keep_running(self) -> None:
        while not self._over.is_set():
            command = [sys.executable, "-m", "taxi_generator", "--registry", "none", "--events", "0"]
            command += ["--mode", "realtime", "--rate", str(self._rate), "--seed", str(next(self._seeds))]
            with self._log.open("a") as log:
                generator = subprocess.Popen(command, env=os.environ, stdout=log, stderr=log)
                while generator.poll() is None and not self._over.wait(0.2):
                    pass
                generator.terminate()
                try:
                    generator.wait(STOP_LIMIT_S)
                except subprocess.TimeoutExpired:
                    generator.kill()
                    generator.wait()
            self._over.wait(AGAIN_AFTER_S)
