"""Airflow's components: one environment for all of them, for shells and for tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

from local import config, proxies
from local.config import ROOT, Platform, PlatformError, write_private

BIN = Path(sys.prefix) / "bin"
MIGRATE_LIMIT_S = 600
NOT_FOR_TASKS = ("POSTGRES_PASSWORD", "AIRFLOW_ADMIN_PASSWORD")


def environment(platform: Platform) -> dict[str, str]:
    """The environment variables of Airflow, dbt and the DAGs."""
    url = f"http://127.0.0.1:{platform.port('AIRFLOW_PORT')}"
    password = platform.values["POSTGRES_AIRFLOW_PASSWORD"]
    database = f"airflow:{password}@127.0.0.1:{platform.port('POSTGRES_PORT')}/airflow"
    settings = {
        "AIRFLOW_HOME": platform.home / "airflow",
        "AIRFLOW__CORE__DAGS_FOLDER": ROOT / "dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": ROOT / "plugins",
        "AIRFLOW__CORE__FERNET_KEY": platform.values["AIRFLOW_FERNET_KEY"],
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": _passwords(platform),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": platform.port("AIRFLOW_PORT"),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": platform.values["AIRFLOW_SECRET_KEY"],
        "AIRFLOW__API_AUTH__JWT_SECRET": platform.values["AIRFLOW_JWT_SECRET"],
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": platform.logs / "airflow",
        "AIRFLOW__COSMOS__CACHE_DIR": platform.home / "airflow" / "cosmos",
        "SPT_NOENV": 1,  # renamed processes keep their environment, by which `down` finds them
        "PYTHONPATH": ROOT / "plugins",
        "PATH": f"{BIN}:{os.environ['PATH']}",
        **proxies.exempting(os.environ),
    }
    shared = {name: value for name, value in platform.values.items() if value and name not in NOT_FOR_TASKS}
    return shared | config.read_env(ROOT / "airflow.env") | {name: str(value) for name, value in settings.items()}


def adopt(platform: Platform) -> None:
    """Give this process the same connections, variables and packages as the platform's tasks."""
    os.environ.update(environment(platform))
    sys.path.insert(0, str(ROOT / "plugins"))
    from lakehouse.airflow import settings as airflow_settings

    airflow_settings.apply_to_environment()


def command(component: str) -> list[str]:
    """One component; it serves no logs, because all components share a log folder."""
    serves_logs = component in ("scheduler", "triggerer")
    return [str(BIN / "airflow"), component, *(["--skip-serve-logs"] if serves_logs else [])]


def prepare(platform: Platform) -> None:
    """Migrate the metadata database, and import connections, pools and variables."""
    _passwords(platform).parent.mkdir(mode=0o700, exist_ok=True)
    write_private(_passwords(platform), json.dumps({"admin": platform.values["AIRFLOW_ADMIN_PASSWORD"]}))
    for step in (["airflow", "db", "migrate"], ["lakehouse.airflow.settings"]):
        run = subprocess.run(
            [sys.executable, "-m", *step], env=environment(platform), cwd=ROOT,
            capture_output=True, text=True, timeout=MIGRATE_LIMIT_S,
        )  # fmt: skip
        if run.returncode:
            raise PlatformError(
                f"`python -m {' '.join(step)}` failed ({run.returncode}):\n{(run.stderr or run.stdout)[-2000:]}"
            )


def _passwords(platform: Platform) -> Path:
    return platform.home / "airflow" / "passwords.json"
