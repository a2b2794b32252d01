"""Starts Java programs."""

import os
import subprocess
from pathlib import Path

from local.config import PlatformError
from local.preflight import java_home

# Less memory per process: the serial collector, two arenas of malloc. Nothing is written to /tmp. Paths are UTF-8 in any
# locale.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "LC_ALL": "C.UTF-8"}
RUN_LIMIT_S = 600
_OPTIONS = ["-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError", "-Djava.net.preferIPv4Stack=true",
            "-Duser.timezone=UTC"]  # fmt: skip


def java(scratch: Path) -> list[str]:
    """The Java program with the options that every service shares.

    :param scratch: folder for temporary files
    """
    home = java_home()
    if home is None:
        raise PlatformError("no Java found: set JAVA_HOME, or put `java` on the PATH")
    return [str(home / "bin" / "java"), *_OPTIONS, f"-Djava.io.tmpdir={scratch}"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Java program and wait until it ends.

    :param folder: working directory, also for temporary files
    """
    command = [*java(folder), "-XX:TieredStopAtLevel=1", *arguments]
    return subprocess.run(
        command, env=os.environ | ENVIRONMENT, cwd=folder, capture_output=True, text=True, timeout=RUN_LIMIT_S
    )
