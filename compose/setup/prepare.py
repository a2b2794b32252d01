"""Set-up before any service starts, as root: certificates, the object store's accounts, Airflow's passwords, volume owners."""

from __future__ import annotations

import json
import os
from pathlib import Path

from compose.setup.certificates import Authority, Holder
from local.config import write_private

VOLUMES = Path("/volumes")
#: User and group ids in the images.
ROOT, KAFKA, STORE, FLINK, AIRFLOW = (0, 0), (1000, 1000), (1000, 1000), (9999, 9999), (50000, 0)
POSTGRES, HAPROXY, PROMETHEUS, GRAFANA = (999, 999), (99, 99), (65534, 65534), (472, 0)
HOLDERS = (
    Holder("kafka", ("kafka",), KAFKA),
    Holder("admin", (), AIRFLOW),
    Holder("flink", ("flink-jobmanager", "flink-taskmanager", "flink-sql-gateway"), FLINK, keystore=True),
    Holder("airflow", (), AIRFLOW),
    Holder("postgres", ("postgres",), POSTGRES),
    Holder("schema-registry", ("schema-registry",), HAPROXY),
    Holder("object-store", ("object-store",), STORE),
    Holder("prometheus", ("prometheus",), PROMETHEUS),
    Holder("grafana", (), GRAFANA),
    Holder("generator", (), AIRFLOW),
    Holder("docker-gate", ("docker-gate",), ROOT),
)
#: Owners of volumes that would belong to root otherwise.
OWNERS = {
    "store": STORE,
    "gold": AIRFLOW,
    "airflow-logs": AIRFLOW,
    "kafka": KAFKA,
    "prometheus": PROMETHEUS,
    "grafana": GRAFANA,
}
#: Accounts of the object store; their permissions are in `grant`.
ACCOUNTS = ("writer", "maintenance", "reader")
#: Users of Airflow and their roles.
USERS = {"admin": "ADMIN", "operator": "OPERATOR", "viewer": "VIEWER"}


def prepare() -> None:
    """Create what is missing."""
    authority = Authority(VOLUMES / "ca")
    for holder in HOLDERS:
        authority.issue(holder, VOLUMES / "tls" / holder.name, os.environ["FLINK_KEYSTORE_PASSWORD"])
    accounts = {
        name: {"access": name, "secret": os.environ[f"STORE_{name.upper()}_SECRET"], "role": "user"}
        for name in ACCOUNTS
    }
    _give(VOLUMES / "store-accounts" / "users.json", {"accessAccounts": accounts}, STORE)
    passwords = {user: os.environ[f"AIRFLOW_{name}_PASSWORD"] for user, name in USERS.items()}
    _give(VOLUMES / "airflow-passwords" / "passwords.json", passwords, AIRFLOW)
    for volume, owner in OWNERS.items():
        os.chown(VOLUMES / volume, *owner)


def _give(file: Path, content: object, owner: tuple[int, int]) -> None:
    write_private(file, json.dumps(content))
    for path in (file, file.parent):
        os.chown(path, *owner)


if __name__ == "__main__":
    prepare()
