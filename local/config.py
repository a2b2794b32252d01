"""Paths, ports and secrets of one platform. Two platforms on a machine differ only in LAKEHOUSE_HOME and ports."""

import base64
import os
import re
import secrets
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local import preflight

ROOT = preflight.ROOT
CONF = ROOT / "local" / "conf"
JARS = ROOT / "flink" / "target" / "jars"

# All ports of the platform. If PORT_BASE is set, they are numbered from there in this order.
PORTS = {
    "POSTGRES_PORT": 15432,
    "KAFKA_PORT": 19092,
    "KAFKA_CONTROLLER_PORT": 19093,
    "REGISTRY_PORT": 18081,
    "FLINK_REST_PORT": 18083,
    "FLINK_GATEWAY_PORT": 18084,
    "FLINK_JOBMANAGER_PORT": 18085,
    "FLINK_BLOB_PORT": 18086,
    "FLINK_TASKMANAGER_PORT": 18087,
    "FLINK_DATA_PORT": 18088,
    "AIRFLOW_PORT": 18080,
}


def password() -> str:
    """A new password: 128 random bits, in characters without a special meaning on command lines."""
    return secrets.token_hex(16)


def fernet_key() -> str:
    """A new Fernet key, with which Airflow encrypts connections."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def kafka_cluster_id() -> str:
    """A new ID in Kafka's format, without a leading `-`, which its tools would parse as an option."""
    while (cluster := base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")).startswith("-"):
        pass
    return cluster


# Generated once, at the first start.
SECRETS = {
    "POSTGRES_PASSWORD": password,
    "POSTGRES_AIRFLOW_PASSWORD": password,
    "POSTGRES_ICEBERG_PASSWORD": password,
    "AIRFLOW_ADMIN_PASSWORD": password,
    "AIRFLOW_FERNET_KEY": fernet_key,
    "AIRFLOW_SECRET_KEY": password,
    "AIRFLOW_JWT_SECRET": password,
}


# Settings of the user, stored until they are changed.
OPTIONS = {
    "ALERTS_URL": "",  # an Apprise address (slack://, mailto://, json://, ...)
    # Location of the tables. It is a path, because `#` and `?` in a file:// URI have a special meaning. For s3:// the following
    # settings apply too.
    "LAKEHOUSE_WAREHOUSE": "{home}/warehouse",
}

# Overrides of a pipeline's parameters (`lakehouse.pipelines.params`), stored as well. An empty value
# restores the declared one.
PARAMETER = re.compile("PIPELINE_[A-Z0-9_]+")

# Lock files in a platform's folder, for mutual exclusion.
START, DEMO = "lock", "demo-lock"
LOCKS = {START: "up or down", DEMO: "demo"}

# Subfolders of a platform's folder, created before its services start.
FOLDERS = (
    "logs", "kafka", "flink", "flink/conf", "flink/checkpoints", "flink/savepoints", "registry", "warehouse", "gold",
)  # fmt: skip

# In a warehouse on the local disk: a file that docs/runbook.md deletes first if the disk is full. The next start recreates it.
RESERVE, RESERVE_BYTES = "_reserve", 32 << 20

# Settings of the tables' object store, with the names that its clients use; stored as well.
OBJECT_STORE = ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class PlatformError(Exception):
    """An error of a command; the message says what failed and the next step."""


@dataclass(frozen=True)
class Platform:
    """One platform: its state folder and the values of its env file."""

    home: Path
    values: dict[str, str]

    def port(self, name: str) -> int:
        """The port of that name."""
        return int(self.values[name])

    @property
    def ports(self) -> dict[str, int]:
        """Every port by name."""
        return {name: self.port(name) for name in PORTS}

    @property
    def env_file(self) -> Path:
        """The file of ports, secrets and paths, which shells and the DAGs' settings loader read."""
        return self.home / "env"

    @property
    def logs(self) -> Path:
        """Folder of the log files, one per service."""
        return self.home / "logs"

    @property
    def temporary(self) -> Path:
        """Folder of files that are recreated at every start."""
        return self.home / "tmp"

    def scratch(self, service: str) -> Path:
        """Folder of a service's temporary files."""
        return self.temporary / service


def load() -> Platform:
    """The platform according to its env file; it must have been started once."""
    home = preflight.state_folder()
    values = read_env(home / "env")
    if not values:
        raise PlatformError(f"there is no platform in {home} yet. Start one: make up")
    if missing := [name for name in (*PORTS, *SECRETS) if name not in values]:
        raise PlatformError(f"{home}/env is damaged ({missing[0]} is missing). Start the platform again: make up")
    for name in PORTS:
        _number(name, values[name])
    return Platform(home, values)


def declare() -> Platform:
    """The declared platform: missing values of its env file are generated, and the environment's settings are adopted."""
    home = preflight.state_folder()
    stored = read_env(home / "env")
    if (
        "LAKEHOUSE_HOME" not in stored
        and home.is_dir()
        and (others := {path.name for path in home.iterdir()} - {*LOCKS})
    ):
        message = f"{home} is not a platform's folder and not empty (it contains {min(others)})"
        raise PlatformError(f"{message}: set LAKEHOUSE_HOME to a folder of its own")
    values = {"LAKEHOUSE_HOME": str(home)}
    for name, default in OPTIONS.items():
        values[name] = os.environ.get(name, stored.get(name, default.replace("{home}", str(home))))
    values |= _parameters(stored)
    ports = _ports(stored)
    values |= {name: str(port) for name, port in ports.items()}
    values["KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{ports['KAFKA_PORT']}"
    values["SCHEMA_REGISTRY_URL"] = f"http://127.0.0.1:{ports['REGISTRY_PORT']}/apis/ccompat/v7"
    values["FLINK_STATE_DIR"] = f"file://{home}/flink"
    s3 = values["LAKEHOUSE_WAREHOUSE"].startswith("s3")
    values |= {name: os.environ.get(name, stored.get(name, "")) if s3 else "" for name in OBJECT_STORE}
    values["ICEBERG_IO_IMPL"] = "org.apache.iceberg.aws.s3.S3FileIO" if s3 else "lakehouse.io.LocalFileIO"
    values["S3_PATH_STYLE_ACCESS"] = "true" if values["AWS_ENDPOINT_URL_S3"] else ""
    values |= {name: stored.get(name) or make() for name, make in SECRETS.items()}
    return Platform(home, stored | values)


def create() -> Platform:
    """The declared platform, with its env file and folders."""
    platform = declare()
    home = platform.home
    # As root, PostgreSQL runs as a separate user, which must be able to traverse the folder.
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    if platform.values != read_env(platform.env_file):
        lines = (f"{name}={shlex.quote(value)}\n" for name, value in platform.values.items())
        write_private(platform.env_file, "".join(lines))
    for folder in FOLDERS:
        (home / folder).mkdir(mode=0o700, exist_ok=True)
    if warehouse := warehouse_folder(platform.values["LAKEHOUSE_WAREHOUSE"]):
        _keep_reserve(warehouse / RESERVE)
    return platform


def warehouse_folder(address: str) -> Path | None:
    """Folder of a warehouse on the local disk, from `/x` or `file:///x`, without percent-decoding."""
    path = address.removeprefix("file://")
    return Path(path) if path.startswith("/") else None


def _keep_reserve(file: Path) -> None:
    """Reserve space that can be freed on a full disk: even expiring snapshots needs space for new metadata."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, RESERVE_BYTES)
        except OSError as error:
            file.unlink()
            print(
                f"  no reserve of {RESERVE_BYTES >> 20} MB in {file.parent}: {error.strerror} (docs/runbook.md, warehouse-full)"
            )


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner only from the start."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise


def site_packages() -> Path:
    """Folder of the locked environment's packages (including Flink's jars and PostgreSQL's binaries)."""
    return Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _ports(stored: dict[str, str]) -> dict[str, int]:
    """Ports by precedence: the environment variable of that name, PORT_BASE, the env file, the default."""
    base = os.environ.get("PORT_BASE")
    ports = {}
    for offset, (name, default) in enumerate(PORTS.items()):
        text = (
            os.environ.get(name)
            or (base and str(_number("PORT_BASE", base) + offset))
            or stored.get(name, str(default))
        )
        ports[name] = _number(name, text)
    if twice := [name for name, port in ports.items() if list(ports.values()).count(port) > 1]:
        raise PlatformError(f"{' and '.join(twice)} are both {ports[twice[0]]}: give each a port of its own")
    return ports


def _parameters(stored: dict[str, str]) -> dict[str, str]:
    """Parameters of pipelines in the environment; an empty one only counts if it was set before."""
    given = {name: value for name, value in os.environ.items() if PARAMETER.fullmatch(name)}
    return {name: value for name, value in given.items() if value or name in stored}


def _number(name: str, text: str) -> int:
    if not text.isdigit() or not 1024 <= int(text) <= 65500:
        raise PlatformError(f"{name}={text} is not a port: give a number from 1024 to 65500")
    return int(text)


def read_env(path: Path) -> dict[str, str]:
    """Names and values of a file of NAME=value lines with shell quoting, without comment lines; empty if there is no file."""
    if not path.is_file():
        return {}
    try:
        words = shlex.split(re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE))
    except ValueError as error:
        raise PlatformError(f"{path} cannot be read ({error}): fix the quotes in it") from error
    return dict(word.split("=", 1) for word in words if "=" in word)
