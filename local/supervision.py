"""The supervisor daemon that keeps the parts running, and the processes that belong to a platform."""

import contextlib
import hashlib
import http.client
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from local.config import Platform, PlatformError
from local.parts import Part
from local.supervisor_conf import mark, write

START_LIMIT_S = 120
KILL_LIMIT_S = 60
SOCKET_PATH_LIMIT = 100  # of 107 bytes: the supervisor adds its pid while it makes the socket


class Supervisor:
    """Control of one platform's supervisor daemon, over a Unix socket of its own."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.socket = _socket_path(platform.home)

    def running(self) -> bool:
        """Whether the daemon answers."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(3)
            return probe.connect_ex(str(self.socket)) == 0

    def launch(self, parts: list[Part]) -> None:
        """Start the daemon, which starts no part by itself."""
        conf = write(self.platform, self.socket, parts)
        program = str(Path(sys.prefix) / "bin" / "supervisord")
        run = subprocess.run(
            [sys.executable, program, "-c", str(conf)], env=os.environ | mark(self.platform, "supervisord"),
            capture_output=True, text=True, timeout=START_LIMIT_S,
        )  # fmt: skip
        deadline = time.monotonic() + START_LIMIT_S
        while not self.running():
            if run.returncode or time.monotonic() > deadline:
                log = self.platform.logs / "supervisord.log"
                raise PlatformError(f"the supervisor does not start: {(run.stderr or run.stdout).strip()}. See {log}")
            time.sleep(0.05)

    def call(self, method: str, *arguments: object) -> Any:
        """One call of the daemon's API; each uses a connection of its own, so any thread may.

        What the daemon refuses (`xmlrpc.client.Fault`) is for the caller to handle.
        """
        transport = SupervisorTransport(serverurl=f"unix://{self.socket}")
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            log = self.platform.logs / "supervisord.log"
            raise PlatformError(f"the supervisor does not answer ({error}): see {log}") from error
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == Faults.SHUTDOWN_STATE:
                raise PlatformError("the platform is being stopped: wait for it, then make up") from fault
            raise

    def info(self) -> dict[str, dict[str, Any]]:
        """What the daemon knows of each part, by name."""
        return {info["name"]: info for info in self.call("getAllProcessInfo")}

    def pid(self) -> int:
        """The daemon's process id."""
        return int(self.call("getPID"))


def members(platform: Platform) -> list[psutil.Process]:
    """Every process that carries this platform's mark: the daemon and its parts, supervised or left behind."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if environment.get("LAKEHOUSE_PART") and environment.get("LAKEHOUSE_HOME") == str(platform.home):
            found.append(process)
    return found


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def stop(processes: list[psutil.Process], limit_s: float) -> None:
    """End processes: asked first, forced after the limit.

    A worker of Airflow's executor whose scheduler was killed does not listen. It has nothing to lose: a task is a process
    of its own.
    """
    for process in processes:
        _signal(process.kill if _is_executor_worker(process) else process.terminate)
    left = await_end(processes, limit_s)
    for process in left:
        _signal(process.kill)
    if left := await_end(left, KILL_LIMIT_S):
        raise PlatformError(f"these processes do not end: {', '.join(map(describe, left))}")


def await_end(processes: list[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Those that have not ended within the limit. A zombie has ended: in a container nobody may ever take note of it."""
    deadline = time.monotonic() + limit_s
    while (left := [process for process in processes if _alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def describe(process: psutil.Process) -> str:
    """A process for messages: pid and command."""
    try:
        return f"pid {process.pid} ({' '.join(process.cmdline())[:100] or process.name()})"
    except psutil.Error:
        return f"pid {process.pid}"


def ports_taken(ports: dict[str, int]) -> list[str]:
    """Each port that somebody holds, with who."""
    taken = {name: port for name, port in ports.items() if not _free(port)}
    if not taken:
        return []
    holders = {}
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
                holders[connection.laddr.port] = _holder(psutil.Process(connection.pid))
    except psutil.Error:
        pass  # only root may see everybody's; the port is named anyway
    return [
        f"{name}={port} is held by {holders.get(port, 'a process of another user')}" for name, port in taken.items()
    ]


def _holder(process: psutil.Process) -> str:
    """Who holds a port: a service of another platform by that one's folder."""
    try:
        environment = process.environ()
    except psutil.Error:
        environment = {}
    if "LAKEHOUSE_PART" not in environment:
        return describe(process)
    service, home = environment["LAKEHOUSE_PART"], environment["LAKEHOUSE_HOME"]
    return f"{service} of the platform in {home} (LAKEHOUSE_HOME={shlex.quote(home)} make down stops it)"


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_executor_worker(process: psutil.Process) -> bool:
    try:
        return " ".join(process.cmdline()).startswith("airflow worker -- LocalExecutor")
    except psutil.Error:
        return False


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()


def _socket_path(home: Path) -> Path:
    """In the state folder; for a folder too deep for a socket's name, in a private one of the system's."""
    path = home / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    folder = Path(tempfile.gettempdir()) / f"lakehouse-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.geteuid():
        raise PlatformError(f"{folder} belongs to somebody else: set TMPDIR to a folder of yours")
    return folder / f"{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}.sock"
