"""`docker compose`, and streams to and from its containers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any, AnyStr

from local.config import PlatformError

CHUNK = 1 << 20


class Compose:
    """`docker compose` on one project.

    :param options: options of each command, such as `--file=...`
    """

    def __init__(self, *options: str) -> None:
        self.options = options

    def command(self, *arguments: str) -> list[str]:
        return ["docker", "compose", *self.options, *arguments]

    def __call__(self, *arguments: str, **more: Any) -> str:
        """Run a command and return its output.

        :raises PlatformError: it failed; the message has its last lines
        """
        done = subprocess.run(self.command(*arguments), capture_output=True, **more)
        if done.returncode:
            raise PlatformError(f"`docker compose {' '.join(arguments)}` failed: {_last_lines(done.stderr)}")
        return done.stdout.decode()

    def project(self) -> dict[str, Any]:
        """The project's configuration, with its name; does not need `.env`."""
        return json.loads(self("config", "--no-interpolate", "--format=json"))

    @contextmanager
    def paused(self, service: str) -> Iterator[None]:
        """Freeze a service, so that its files are as after a crash at this moment."""
        self("pause", service)
        try:
            yield
        finally:
            self("unpause", service)

    def await_health(self, service: str, limit_s: float = 60) -> None:
        """Wait until a service is healthy. After a pause it is not at first, and services that depend on it would not start.

        :raises PlatformError: it did not become healthy within the limit
        """
        deadline = time.monotonic() + limit_s
        while (health := self("ps", "--format={{.Health}}", service).strip()) != "healthy":
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"{service} is {health or 'not running'} after {limit_s:g} s. Next: docker compose logs {service}"
                )
            time.sleep(0.2)


class Stream:
    """A command in a container whose output is written to a private file, with a checksum."""

    def __init__(self, compose: Compose, file: Path, *arguments: str) -> None:
        self.file = file
        self._what = arguments[0] + " " + " ".join(arguments[-3:])
        self._digest = hashlib.sha256()
        self._lines: deque[str] = deque(maxlen=20)
        self._process = subprocess.Popen(
            compose.command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._error: OSError | None = None
        self._stdin, stdout, self._stderr = pipes(self._process)
        self._copying = Thread(target=self._copy, args=(stdout.fileno(),), daemon=True)
        self._copying.start()

    def await_line(self, line: str) -> None:
        """Wait until the command prints this line to stderr.

        :raises PlatformError: it ended before
        """
        for line_read in self._stderr:
            self._lines.append(line_read.decode(errors="replace").strip())
            if self._lines[-1] == line:
                return
        self._fail()

    def finish(self, last_input: bytes = b"") -> str:
        """Send input to the command, wait for its end, and return the checksum of its output.

        :raises PlatformError: it failed, or its output could not be written
        """
        try:
            self._stdin.write(last_input)
            self._stdin.close()
        except BrokenPipeError:
            pass  # it has ended: stderr says why
        for line_read in self._stderr:
            self._lines.append(line_read.decode(errors="replace").strip())
        self._copying.join()
        if self._process.wait() or self._error:
            self._fail()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Terminate the command, if it is still running."""
        self._process.terminate()
        self._process.wait()

    def _copy(self, stdout: int) -> None:
        try:
            with os.fdopen(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                while chunk := os.read(stdout, CHUNK):
                    self._digest.update(chunk)
                    opened.write(chunk)
                opened.flush()
                os.fsync(opened.fileno())
        except OSError as error:
            self._error = error
            self._process.kill()

    def _fail(self) -> None:
        self._process.wait()
        why = str(self._error) if self._error else "; ".join(list(self._lines)[-5:])
        raise PlatformError(f"{self.file.name} could not be written by `{self._what}`: {why}")


def pipes(process: subprocess.Popen[AnyStr]) -> tuple[IO[AnyStr], IO[AnyStr], IO[AnyStr]]:
    """stdin, stdout and stderr of a process that was started with pipes."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    return process.stdin, process.stdout, process.stderr


def feed(compose: Compose, file: Path, *arguments: str) -> str:
    """Run a command with a file as its input, and return its output.

    :raises PlatformError: it failed; the message has its last lines
    """
    with file.open("rb") as opened:
        return compose(*arguments, stdin=opened)


def as_owner(database: str, program: str) -> tuple[str, ...]:
    """A command that runs a PostgreSQL program as the owner of a database; the container's environment holds the password."""
    password = f'PGPASSWORD="$POSTGRES_{database.upper()}_PASSWORD"'
    command = f"{password} exec {program} --host=127.0.0.1 --username={database} --dbname={database}"
    return "exec", "-T", "postgres", "sh", "-c", command


def volumes(project: str) -> list[str]:
    """Names of a project's volumes."""
    label = f"label=com.docker.compose.project={project}"
    listed = subprocess.run(["docker", "volume", "ls", "--quiet", f"--filter={label}"], capture_output=True, text=True)
    if listed.returncode:
        raise PlatformError(f"`docker volume ls` failed: {_last_lines(listed.stderr.encode())}")
    return listed.stdout.split()


def _last_lines(output: bytes) -> str:
    return "; ".join(output.decode(errors="replace").strip().splitlines()[-5:]) or "(no output)"
