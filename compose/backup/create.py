"""Creates a backup of a running platform: the jobs are stopped briefly, and Kafka is paused even more briefly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from compose.backup import manifest
from compose.backup.archive import IMMUTABLE_COPIED
from compose.backup.docker import Compose, Stream, as_owner, pipes
from compose.secrets import FILE as ENV
from local.config import PlatformError

#: Services that must be running; the others have no state, or start by themselves.
NEEDED = ("postgres", "kafka", "object-store", "flink-jobmanager", "airflow-scheduler")


def create(compose: Compose, folder: Path) -> Path:
    """Create a backup in a folder, and return its path. After a failure, nothing is left that looks like a backup.

    The order makes it consistent: the tables' files and the catalog are copied while the tables are quiesced, so that all files
    which the catalog refers to are in the copy; Kafka comes last, so it has every event that the tables have, and later ones.

    :raises PlatformError: something could not be saved; the message says what
    """
    running = compose("ps", "--services", "--status=running").split()
    if missing := [service for service in NEEDED if service not in running]:
        raise PlatformError(f"{', '.join(missing)} is not running, but is needed for a backup. Next: make compose-up.")
    made_at = datetime.now(UTC)
    backup = folder / f"{made_at:%Y-%m-%dT%H-%M-%SZ}"
    draft = folder / f".{backup.name}.draft"
    folder.mkdir(mode=0o700, exist_ok=True)
    draft.mkdir(mode=0o700)
    try:
        _fill(compose, draft, {"made_at": made_at.isoformat(timespec="seconds")})
        os.sync()
        draft.rename(backup)
    except BaseException:
        shutil.rmtree(draft)
        raise
    return backup


def _fill(compose: Compose, draft: Path, about: dict[str, Any]) -> None:
    began, sums = time.monotonic(), {}
    project = compose.project()
    with ExitStack() as streams:

        def stream(name: str, *arguments: str) -> Stream:
            found = Stream(compose, draft / name, *arguments)
            streams.callback(found.abandon)
            return found

        def dump(database: str) -> None:
            name = f"{database}.dump"
            sums[name] = stream(name, *as_owner(database, "pg_dump --format=custom")).finish()

        _keep_secrets(draft / "env")
        sums["env"] = manifest.checksum(draft / "env")
        store = stream("store.tar", "run", "--rm", "-T", "backup", "pack", "store", "gold")
        kafka = stream("kafka.tar.gz", "run", "--rm", "-T", "backup", "pack", "kafka")
        # Airflow as of before the jobs were stopped, without tasks that wait for them.
        dump("airflow")
        dump("registry")
        store.await_line(IMMUTABLE_COPIED)
        kafka.await_line(IMMUTABLE_COPIED)
        print("Immutable files are copied. Stopping the streaming jobs with savepoints ...", flush=True)
        with _quiesced(compose) as point:
            quiesced = time.monotonic()
            dump("iceberg")
            sums["store.tar"] = store.finish(b"now\n")
        released = time.monotonic()
        print(f"The tables were quiesced for {released - quiesced:.1f} s; Airflow restarts the jobs.", flush=True)
        with compose.paused("kafka"):
            paused, recovery_point = time.monotonic(), datetime.now(UTC)
            sums["kafka.tar.gz"] = kafka.finish(b"now\n")
        resumed = time.monotonic()
        print(f"Kafka was paused for {resumed - paused:.1f} s.", flush=True)
    _check(draft / "store.tar", point)
    seconds = {
        "all": time.monotonic() - began,
        "tables_quiesced": released - quiesced,
        "kafka_paused": resumed - paused,
    }
    about |= {
        "recovery_point": recovery_point.isoformat(timespec="seconds"),
        "project": project["name"],
        "images": {name: service["image"] for name, service in sorted(project["services"].items())},
        "postgres": compose("exec", "-T", "postgres", "pg_dump", "--version").strip(),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        **point,
    }
    manifest.describe(draft, about, sums)
    for file in draft.iterdir():
        file.chmod(0o600)


def _keep_secrets(file: Path) -> None:
    """Copy `.env`: without its Fernet key, the connections in Airflow's database cannot be decrypted."""
    if not ENV.exists():
        raise PlatformError(f"{ENV} with the secrets of the running platform is missing. Next: restore the file.")
    shutil.copyfile(ENV, file)


@contextmanager
def _quiesced(compose: Compose) -> Iterator[dict[str, Any]]:
    """Quiesce the tables; yields the recovery point.

    :raises PlatformError: they could not be quiesced, or not until the end
    """
    command = compose.command("exec", "-T", "airflow-scheduler", "python", "-m", "lakehouse", "quiesce")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as holding:
        stdin, stdout, stderr = pipes(holding)
        try:
            if not (said := next((line for line in stdout if line.startswith("{")), None)):
                raise PlatformError(f"The tables could not be quiesced: {_why(stderr)}")
            yield json.loads(said)
        finally:
            stdin.close()
        why = _why(stderr)
        if holding.wait():
            raise PlatformError(f"The tables were not quiesced until everything was copied: {why}")


def _why(stderr: IO[str]) -> str:
    lines = stderr.read().strip().splitlines()
    return next((line for line in reversed(lines) if line.startswith("error:")), "; ".join(lines[-3:]))


def _check(archive: Path, point: dict[str, Any]) -> None:
    """Check that everything that the catalog and the jobs refer to was copied.

    :raises PlatformError: something is missing
    """
    states = [f"{state}/_metadata" for state in point["states"].values() if state]
    needed = {f"store/{address.removeprefix('s3://')}" for address in [*point["tables"].values(), *states]}
    with tarfile.open(archive) as tar:
        copied = {member.name for member in tar}
    if missing := sorted(needed - copied):
        raise PlatformError(
            f"{archive.name} lacks {', '.join(missing)}, and was deleted. Next: if this is in another object store, see "
            "docs/backup.md."
        )
