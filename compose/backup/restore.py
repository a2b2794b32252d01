"""Restores a backup into a new platform."""

from __future__ import annotations

from pathlib import Path

from compose.backup import manifest
from compose.backup.docker import Compose, as_owner, feed, volumes
from compose.secrets import FILE as ENV
from compose.secrets import complete
from local.config import PlatformError, write_private

DATABASES = ("airflow", "iceberg", "registry")
ARCHIVES = {"store.tar": ("store", "gold"), "kafka.tar.gz": ("kafka",)}
#: Secrets without which the backup cannot be read; the others may be new.
SAME = ("AIRFLOW_FERNET_KEY", "KAFKA_CLUSTER_ID")
HEALTHY_LIMIT_S = 600


def restore(compose: Compose, backup: Path) -> None:
    """Check everything, restore databases and files, and start the platform.

    :raises PlatformError: the backup is incomplete, a platform already exists, or a step failed; the message says which
    """
    manifest.checked(backup)
    secrets = _secrets(backup / "env")
    project = compose.project()["name"]
    if held := sorted(volumes(project)):
        raise PlatformError(
            f"The project {project} already has volumes ({held[0]} and {len(held) - 1} more): nothing was written. Next: restore "
            "under another name (COMPOSE_PROJECT_NAME=... and a free AIRFLOW_PORT=...); or, if its data is not needed, "
            "`docker compose --profile '*' down --volumes`."
        )
    write_private(ENV, secrets)
    complete()  # a newer version may need more secrets
    try:
        _write(compose, backup)
    except PlatformError as error:
        raise PlatformError(
            f"{error} Project {project} is partially restored. Next: `docker compose --profile '*' down --volumes`, then retry."
        ) from error


def _write(compose: Compose, backup: Path) -> None:
    compose("build", "--quiet")
    compose("up", "--detach", "--wait", f"--wait-timeout={HEALTHY_LIMIT_S}", "postgres")
    for database in DATABASES:
        feed(
            compose, backup / f"{database}.dump", *as_owner(database, "pg_restore --exit-on-error --single-transaction")
        )
    print("Databases are restored.", flush=True)
    for archive, packed in ARCHIVES.items():
        print(feed(compose, backup / archive, "run", "--rm", "-T", "restore", "unpack", *packed).strip(), flush=True)
    compose("up", "--detach", "--wait", f"--wait-timeout={HEALTHY_LIMIT_S}")


def _secrets(env: Path) -> str:
    """The new content of `.env`: its current content, and what it lacks from the backup.

    :raises PlatformError: it has a key with which the backup cannot be read
    """
    lines = ENV.read_text().splitlines() if ENV.exists() else []
    here, there = _values(lines), _values(env.read_text().splitlines())
    if other := [name for name in SAME if here.get(name, there[name]) != there[name]]:
        raise PlatformError(
            f"{ENV} has another {' and '.join(other)} than the backup, which cannot be read with it. Nothing was written. "
            "Next: move that file away; then the one in the backup is used."
        )
    return "".join(f"{line}\n" for line in [*lines, *(f"{name}={there[name]}" for name in there if name not in here)])


def _values(lines: list[str]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
