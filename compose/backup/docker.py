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

    :param options: of each command, as `--file=...`
    """

    def __init__(self, *options: str) -> None:
        self.options = options

    def command(self, *arguments: str) -> list[str]:
        return ["docker", "compose", *self.options, *arguments]

    def __call__(self, *arguments: str, **more: Any) -> str:
        """Run a command and return what it prints.

        :raises PlatformError: it failed; the message has its last words
        """
        done = subprocess.run(self.command(*arguments), capture_output=True, **more)
        if done.returncode:
            raise PlatformError(f"`docker compose {' '.join(arguments)}` failed: {_last_words(done.stderr)}")
        return done.stdout.decode()

    def project(self) -> dict[str, Any]:
        """The project as it is declared, with its name; needs no `.env`."""
        return json.loads(self("config", "--no-interpolate", "--format=json"))

    @contextmanager
    def paused(self, service: str) -> Iterator[None]:
        """Freeze a service: its files are then what a kill at this moment would leave."""
        self("pause", service)
        try:
            yield
        finally:
            self("unpause", service)

    def await_health(self, service: str, limit_s: float = 60) -> None:
        """Wait until Docker has found a service healthy, which one that was frozen is not at first: what needs it does not start.

        :raises PlatformError: it did not within the limit
        """
        deadline = time.monotonic() + limit_s
        while (health := self("ps", "--format={{.Health}}", service).strip()) != "healthy":
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"{service} is {health or 'not there'} after {limit_s:g} s. Next: docker compose logs {service}"
                )
            time.sleep(0.2)


class Stream:
    """A command of a container whose output goes into a file that is its owner's alone, and is summed up on the way."""

    def __init__(self, compose: Compose, file: Path, *arguments: str) -> None:
        self.file = file
        self._what = arguments[0] + " " + " ".join(arguments[-3:])
        self._digest = hashlib.sha256()
        self._words: deque[str] = deque(maxlen=20)
        self._process = subprocess.Popen(
            compose.command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._error: OSError | None = None
        self._stdin, stdout, self._stderr = pipes(self._process)
        self._copying = Thread(target=self._copy, args=(stdout.fileno(),), daemon=True)
        self._copying.start()

    def await_line(self, line: str) -> None:
        """Wait until the command says this.

        :raises PlatformError: it ended before
        """
        for said in self._stderr:
            self._words.append(said.decode(errors="replace").strip())
            if self._words[-1] == line:
                return
        self._fail()

    def finish(self, say: bytes = b"") -> str:
        """Say a last word to the command, wait for its end, and return the checksum of its output.

        :raises PlatformError: it failed, or its output could not be written
        """
        try:
            self._stdin.write(say)
            self._stdin.close()
        except BrokenPipeError:
            pass  # it has ended: its own words say why
        for said in self._stderr:
            self._words.append(said.decode(errors="replace").strip())
        self._copying.join()
        if self._process.wait() or self._error:
            self._fail()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """End the command, wherever it is; one that has ended is fine."""
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
        why = str(self._error) if self._error else "; ".join(list(self._words)[-5:])
        raise PlatformError(f"{self.file.name} could not be written by `{self._what}`: {why}")


def pipes(process: subprocess.Popen[AnyStr]) -> tuple[IO[AnyStr], IO[AnyStr], IO[AnyStr]]:
    """stdin, stdout and stderr of a process that was started with a pipe for each."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    return process.stdin, process.stdout, process.stderr


def feed(compose: Compose, file: Path, *arguments: str) -> str:
    """Run a command with a file as its input, and return what it prints.

    :raises PlatformError: it failed; the message has its last words
    """
    with file.open("rb") as opened:
        return compose(*arguments, stdin=opened)


def as_owner(database: str, program: str) -> tuple[str, ...]:
    """A command of the server's own programs, as the one who owns a database; its password is in the container's environment."""
    password = f'PGPASSWORD="$POSTGRES_{database.upper()}_PASSWORD"'
    command = f"{password} exec {program} --host=127.0.0.1 --username={database} --dbname={database}"
    return "exec", "-T", "postgres", "sh", "-c", command


def volumes(project: str) -> list[str]:
    """Names of the volumes that a project has."""
    label = f"label=com.docker.compose.project={project}"
    listed = subprocess.run(["docker", "volume", "ls", "--quiet", f"--filter={label}"], capture_output=True, text=True)
    if listed.returncode:
        raise PlatformError(f"`docker volume ls` failed: {_last_words(listed.stderr.encode())}")
    return listed.stdout.split()


def _last_words(said: bytes) -> str:
    return "; ".join(said.decode(errors="replace").strip().splitlines()[-5:]) or "it says nothing"
