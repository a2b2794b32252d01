"""`.env` of docker compose: all passwords and keys, and Docker's socket; generated once, readable by its owner alone.

It needs only Python, because nothing else is installed on a machine that runs containers.
"""

import os
import re
from pathlib import Path

from local.config import fernet_key, kafka_cluster_id, password, write_private

FILE = Path(__file__).parents[1] / ".env"
DECLARED = Path(__file__).parents[1] / "docker-compose.yaml"
_NEEDED = re.compile(r"\$\{([A-Z][A-Z0-9_]*):\?")
_FERNET_KEY, _CLUSTER_ID, _SOCKET = "AIRFLOW_FERNET_KEY", "KAFKA_CLUSTER_ID", "DOCKER_SOCKET"


def _make(name: str) -> str:
    if name == _FERNET_KEY:
        return fernet_key()
    if name == _CLUSTER_ID:
        return kafka_cluster_id()
    if name == _SOCKET:
        return docker_socket()
    return password()


def docker_socket() -> str:
    """Path of Docker's socket for the gate; another file if there is none, so that everything else starts."""
    socket = Path(os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock")
    return str(socket if socket.is_socket() else os.devnull)


def complete() -> dict[str, str]:
    """Add missing values to `.env` for the names that docker-compose.yaml needs; existing ones are kept.

    :return: name -> value
    """
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    missing = [name for name in dict.fromkeys(_NEEDED.findall(DECLARED.read_text())) if not values.get(name)]
    made = {name: _make(name) for name in missing}
    if made:
        kept = [line for line in lines if line.partition("=")[0] not in made]
        write_private(
            FILE, "".join(f"{line}\n" for line in [*kept, *(f"{name}={value}" for name, value in made.items())])
        )
    return values | made


if __name__ == "__main__":
    complete()
