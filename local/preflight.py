"""Checks what the machine must bring, before anything is made: `python3 local/preflight.py`.

Runs on the system's own Python, so it uses the standard library alone. Everything missing or wrong is named at once,
each with the way to get it.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

JAVA_MAJORS = (17, 21)
MIN_FREE_DISK_GB = 4
MIN_FREE_MEMORY_GB = 4
#: Below the root.
JAVA_FOLDERS = ("usr/lib/jvm/*", "Library/Java/JavaVirtualMachines/*/Contents/Home")
ROOT = Path(__file__).resolve().parent.parent


def java_major(home: Path) -> "int | None":
    """Major version of the Java installed in `home`, or None when there is none."""
    release = home / "release"
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text(), re.MULTILINE) if release.is_file() else None
    if found:
        return int(found.group(1))
    java = home / "bin" / "java"
    if not os.access(java, os.X_OK):
        return None
    run = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)
    found = re.search(r'version "(?:1\.)?(\d+)', run.stderr + run.stdout)
    return int(found.group(1)) if found else None


def java_home() -> "Path | None":
    """The Java that the platform uses: JAVA_HOME when set, else the `java` on the PATH."""
    if os.environ.get("JAVA_HOME"):
        return Path(os.environ["JAVA_HOME"])
    java = shutil.which("java")
    return Path(java).resolve().parent.parent if java else None


def check_java() -> "list[str]":
    """Problems with the JDK."""
    home = java_home()
    major = java_major(home) if home else None
    if home and major in JAVA_MAJORS and (home / "bin" / "javac").is_file():
        return []
    if home is None:
        what = "no Java found (JAVA_HOME is not set, no `java` on the PATH)"
    elif major is None and os.environ.get("JAVA_HOME"):
        what = f"JAVA_HOME={home} holds no Java"
    elif major is None:
        what = f"{shutil.which('java')} tells no Java home: set JAVA_HOME"
    elif major in JAVA_MAJORS:
        what = f"Java {major} in {home} is a runtime only: the compiler `javac` is missing"
    else:
        what = f"Java {major} in {home} does not fit: JDK 17 or 21 is needed"
    installed = [folder for pattern in JAVA_FOLDERS for folder in sorted(Path("/").glob(pattern))]
    fitting = [j for j in installed if java_major(j) in JAVA_MAJORS and (j / "bin" / "javac").is_file()]
    if fitting:
        return [f"{what}. One that fits is installed: export JAVA_HOME={fitting[0]}"]
    return [f"{what}. Get it: `apt-get install openjdk-17-jdk-headless`, `brew install openjdk@17`, or adoptium.net"]


def check_python() -> "list[str]":
    """Problems with the Python that runs this."""
    if sys.version_info < (3, 11):
        version = sys.version.split()[0]
        return [f"Python {version} is too old: 3.11 or newer is needed. Name another one: `make PYTHON=python3.12 ...`"]
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        return [f"{sys.executable} cannot make virtual environments. Get it: `apt-get install python3-venv`"]
    return []


def check_tools() -> "list[str]":
    """Programs that must be on the PATH."""
    missing = []
    for tool, package in {"mvn": "maven", "make": "make"}.items():
        if shutil.which(tool) is None:
            missing.append(
                f"`{tool}` is not on the PATH. Get it: `apt-get install {package}` or `brew install {package}`"
            )
    if os.geteuid() == 0 and shutil.which("useradd") is None:
        missing.append("`useradd` is not on the PATH (PostgreSQL never runs as root). Run as a normal user instead")
    return missing


def check_room() -> "list[str]":
    """Free disk and memory."""
    lacking = []
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < MIN_FREE_DISK_GB:
        lacking.append(f"{free_gb:.1f} GB free on the disk of {ROOT}: {MIN_FREE_DISK_GB} GB are needed. Make room")
    meminfo = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s+(\d+)", meminfo.read_text()) if meminfo.is_file() else None
    if found and int(found.group(1)) / 1e6 < MIN_FREE_MEMORY_GB:
        available = int(found.group(1)) / 1e6
        lacking.append(f"{available:.1f} GB of memory available: {MIN_FREE_MEMORY_GB} GB are needed. Close something")
    return lacking


def problems() -> "list[str]":
    """Everything that is missing or wrong."""
    return check_python() + check_java() + check_tools() + check_room()


def main() -> int:
    """Print every problem; the exit status says whether there was one."""
    found = problems()
    if found:
        print(
            "This machine lacks something that the platform needs (nothing was started or installed):", file=sys.stderr
        )
        for problem in found:
            print(f"  - {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
