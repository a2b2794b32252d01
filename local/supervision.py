"""The supervisor daemon that keeps services running, and the processes of a platform."""

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
from local.services import Service
from local.supervisor_conf import mark, write

START_LIMIT_S = 120
KILL_LIMIT_S = 60
SOCKET_PATH_LIMIT = 100  # of 107 bytes: the supervisor appends its pid while it creates the socket


class Supervisor:
    """Controls one platform's supervisor daemon over its Unix socket."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.socket = _socket_path(platform.home)

    def running(self) -> bool:
        """Whether the daemon responds."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(3)
            return probe.connect_ex(str(self.socket)) == 0

    def launch(self, services: list[Service]) -> None:
        """Start the daemon, which does not start services by itself."""
        conf = write(self.platform, self.socket, services)
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
        """Call the daemon's API. Each call has its own connection, so this is thread-safe.

        The caller handles errors of the daemon (`xmlrpc.client.Fault`).
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
        """Service name -> the daemon's information."""
        return {info["name"]: info for info in self.call("getAllProcessInfo")}

    def pid(self) -> int:
        """The daemon's process id."""
        return int(self.call("getPID"))


def members(platform: Platform) -> list[psutil.Process]:
    """All processes with this platform's environment: the daemon and its services, supervised or left behind."""
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
    """Terminate processes, and kill them after the limit.

    A worker of Airflow's executor ignores signals after its scheduler was killed. It can be killed, because a task
    is a separate process.
    """
    for process in processes:
        _signal(process.kill if _is_executor_worker(process) else process.terminate)
    left = await_end(processes, limit_s)
    for process in left:
        _signal(process.kill)
    if left := await_end(left, KILL_LIMIT_S):
        raise PlatformError(f"these processes do not end: {', '.join(map(describe, left))}")


def await_end(processes: list[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Processes that have not ended within the limit. Zombies count as ended: in a container they may never be reaped."""
    deadline = time.monotonic() + limit_s
    while (left := [process for process in processes if _alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def describe(process: psutil.Process) -> str:
    """A process as text for messages: pid and command."""
    try:
        return f"pid {process.pid} ({' '.join(process.cmdline())[:100] or process.name()})"
    except psutil.Error:
        return f"pid {process.pid}"


def ports_taken(ports: dict[str, int]) -> list[str]:
    """Ports in use, with the processes that hold them."""
    taken = {name: port for name, port in ports.items() if not _free(port)}
    if not taken:
        return []
    holders = {}
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
                holders[connection.laddr.port] = _holder(psutil.Process(connection.pid))
    except psutil.Error:
        pass  # only root can see other users' processes; the port is reported anyway
    return [
        f"{name}={port} is held by {holders.get(port, 'a process of another user')}" for name, port in taken.items()
    ]


def _holder(process: psutil.Process) -> str:
    """The holder of a port; for a service of another platform, with that platform's folder."""
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
    """Path of the socket in the state folder, or in a private temporary folder if the path would be too long."""
    path = home / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    folder = Path(tempfile.gettempdir()) / f"lakehouse-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.geteuid():
        raise PlatformError(f"{folder} belongs to another user: set TMPDIR to a folder of yours")
    return folder / f"{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}.sock"
