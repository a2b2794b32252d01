"""Starts a platform from a backup, where there is none yet."""

from __future__ import annotations

from pathlib import Path

from compose.backup import manifest
from compose.backup.docker import Compose, as_owner, feed, volumes
from compose.secrets import FILE as ENV
from compose.secrets import complete
from local.config import PlatformError, write_private

DATABASES = ("airflow", "iceberg", "registry")
ARCHIVES = {"store.tar": ("store", "gold"), "kafka.tar.gz": ("kafka",)}
#: What is in the backup can only be read with these; any other secret may be a new one.
SAME = ("AIRFLOW_FERNET_KEY", "KAFKA_CLUSTER_ID")
HEALTHY_LIMIT_S = 600


def restore(compose: Compose, backup: Path) -> None:
    """Check everything, then write: databases, files, and start all of it.

    :raises PlatformError: the backup is not whole, there is a platform already, or a step failed; the message says which
    """
    manifest.checked(backup)
    secrets = _secrets(backup / "env")
    project = compose.project()["name"]
    if held := sorted(volumes(project)):
        raise PlatformError(
            f"The project {project} has volumes already ({held[0]} and {len(held) - 1} more): nothing was written. Next: restore "
            "under another name (COMPOSE_PROJECT_NAME=... and a free AIRFLOW_PORT=...); or, if what it holds may go, "
            "`docker compose --profile '*' down --volumes`."
        )
    write_private(ENV, secrets)
    complete()  # a newer version may need more of them
    try:
        _write(compose, backup)
    except PlatformError as error:
        raise PlatformError(
            f"{error} The project {project} is restored in part. Next: `docker compose --profile '*' down --volumes`, then again."
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
    """What `.env` is to hold: what it holds, and from the backup what it lacks.

    :raises PlatformError: it holds a key that what is in the backup cannot be read with
    """
    lines = ENV.read_text().splitlines() if ENV.exists() else []
    here, there = _values(lines), _values(env.read_text().splitlines())
    if other := [name for name in SAME if here.get(name, there[name]) != there[name]]:
        raise PlatformError(
            f"{ENV} has another {' and '.join(other)} than the backup, which cannot be read with it. Nothing was written. "
            "Next: move that file away; then the one of the backup is taken."
        )
    return "".join(f"{line}\n" for line in [*lines, *(f"{name}={there[name]}" for name in there if name not in here)])


def _values(lines: list[str]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
