"""Requirements of the machine, checked before anything is installed (run by `local/check_machine.py`).

It runs with the system's Python, so it only uses the standard library. All problems are reported at once,
each with the next step.
"""

import importlib.util
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

JAVA_MAJORS = (17, 21)
MIN_FREE_DISK_GB = 4
MIN_FREE_HOME_GB = 2
MIN_FREE_MEMORY_GB = 4
MIN_OPEN_FILES = 1024
MIN_THREADS = 1000
# Characters in folder names with a special meaning to programs of the platform: lists of folders and JVM class paths (:), scripts
# of the Python environment and PostgreSQL's initdb (" $ ` \\), Flink's paths (\\).
REFUSED_IN_PATHS = '":$`\\'
#: Relative to the root.
JAVA_FOLDERS = ("usr/lib/jvm/*", "Library/Java/JavaVirtualMachines/*/Contents/Home")
ROOT = Path(__file__).resolve().parent.parent


def java_major(home: Path) -> int | None:
    """Major version of the Java installed in `home`, or None."""
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


def java_home() -> Path | None:
    """The platform's Java: JAVA_HOME if set, otherwise `java` on the PATH."""
    if os.environ.get("JAVA_HOME"):
        return Path(os.environ["JAVA_HOME"])
    java = shutil.which("java")
    return Path(java).resolve().parent.parent if java else None


def check_java() -> list[str]:
    """Problems with the JDK."""
    home = java_home()
    major = java_major(home) if home else None
    if home and major in JAVA_MAJORS and (home / "bin" / "javac").is_file():
        return []
    if home is None:
        what = "no Java found (JAVA_HOME is not set, no `java` on the PATH)"
    elif major is None and os.environ.get("JAVA_HOME"):
        what = f"JAVA_HOME={home} contains no Java"
    elif major is None:
        what = f"{shutil.which('java')} is not in a Java installation: set JAVA_HOME"
    elif major in JAVA_MAJORS:
        what = f"Java {major} in {home} is a runtime only: the compiler `javac` is missing"
    else:
        what = f"Java {major} in {home} is not supported: JDK 17 or 21 is needed"
    installed = [folder for pattern in JAVA_FOLDERS for folder in sorted(Path("/").glob(pattern))]
    fitting = [j for j in installed if java_major(j) in JAVA_MAJORS and (j / "bin" / "javac").is_file()]
    if fitting:
        return [f"{what}. A supported one is installed: export JAVA_HOME={fitting[0]}"]
    return [f"{what}. Get it: `apt-get install openjdk-17-jdk-headless`, `brew install openjdk@17`, or adoptium.net"]


def check_python() -> list[str]:
    """Problems with this Python."""
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        return [f"{sys.executable} cannot create virtual environments. Get it: `apt-get install python3-venv`"]
    return []


def check_tools() -> list[str]:
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


def state_folder() -> Path:
    """The folder of the platform's data: LAKEHOUSE_HOME, or `.local` in the repository."""
    return Path(os.environ.get("LAKEHOUSE_HOME") or ROOT / ".local").expanduser().resolve()


def check_paths() -> list[str]:
    """Folders whose names some program does not support."""
    wrong = []
    for what, folder in {"the repository": ROOT, "LAKEHOUSE_HOME": state_folder()}.items():
        if bad := sorted({letter for letter in str(folder) if letter in REFUSED_IN_PATHS or not letter.isprintable()}):
            letters = " ".join(letter if letter.isprintable() else repr(letter) for letter in bad)
            wrong.append(
                f"the path of {what}, {str(folder)!r}, contains {letters}. Use a folder without that in its path"
            )
    return wrong


def check_room() -> list[str]:
    """Free disk and memory."""
    lacking = []
    if problem := _lacks_disk(ROOT, MIN_FREE_DISK_GB):
        lacking.append(problem)
    home = next(folder for folder in (state_folder(), *state_folder().parents) if folder.exists())
    if not os.access(home, os.W_OK | os.X_OK):
        lacking.append(f"{home} cannot be written to. Set LAKEHOUSE_HOME to a folder of yours")
    elif home.stat().st_dev != ROOT.stat().st_dev and (problem := _lacks_disk(home, MIN_FREE_HOME_GB)):
        lacking.append(f"{problem}, or set LAKEHOUSE_HOME to a folder on another disk")
    meminfo = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s+(\d+)", meminfo.read_text()) if meminfo.is_file() else None
    if found and int(found.group(1)) / 1e6 < MIN_FREE_MEMORY_GB:
        available = int(found.group(1)) / 1e6
        lacking.append(
            f"{available:.1f} GB of memory available: {MIN_FREE_MEMORY_GB} GB are needed. Close other programs"
        )
    return lacking


def _lacks_disk(folder: Path, least_gb: int) -> str | None:
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb >= least_gb:
        return None
    return f"{free_gb:.1f} GB free on the disk of {folder}: {least_gb} GB are needed. Free some space"


def check_limits() -> list[str]:
    """Limits of the shell: open files of a process, and threads of the user."""
    lacking = []
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < MIN_OPEN_FILES:
        lacking.append(
            f"a process may open {files} files here: {MIN_OPEN_FILES} are needed. Raise the limit: `ulimit -n {MIN_OPEN_FILES}`, "
            "or `nofile` in /etc/security/limits.conf and a new login"
        )
    _, threads = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.geteuid() == 0 or threads == resource.RLIM_INFINITY:  # root has no limit
        return lacking
    if (free := threads - _threads_of_user()) < MIN_THREADS:
        lacking.append(
            f"you may start {max(0, free)} more threads (`ulimit -u` is {threads}): {MIN_THREADS} are needed. Raise the limit: "
            "`nproc` in /etc/security/limits.conf and a new login, or TasksMax of your systemd slice"
        )
    return lacking


def _threads_of_user() -> int:
    """Number of this user's threads, if /proc shows it."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == os.geteuid():
                count += len([*(process / "task").iterdir()])
        except OSError:
            continue  # it has ended in the meantime
    return count


def problems() -> list[str]:
    """All problems."""
    checks = (check_python, check_java, check_tools, check_paths, check_room, check_limits)
    return [problem for check in checks for problem in check()]


def main() -> int:
    """Print all problems; the exit status is 1 if there are any."""
    found = problems()
    if found:
        print(
            "This machine lacks something that the platform needs (nothing was started or installed):", file=sys.stderr
        )
        for problem in found:
            print(f"  - {problem}", file=sys.stderr)
    return 1 if found else 0
