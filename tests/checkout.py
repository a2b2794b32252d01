"""A copy of the repository for tests that run a platform, with a separate state folder and ports.

A running demo is not affected, and tests only break files (a model, a setting) in the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from local import airflow, config
from local.config import ROOT, Platform

PARTS = ("dags", "include", "plugins", "local", "demo", "notebooks")
FILES = ("airflow_settings.yaml", "airflow.env", "Makefile", "README.md", "requirements.lock")
SHARED = ("flink", ".venv")
VERB_LIMIT_S = 300
DEMO_LIMIT_S = 600  # with a restart, a deployment and a run of Gold
COMMAND_LIMIT_S = 240


def without_airflow(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a shell without Airflow's variables, although this process may be connected to a platform."""
    return {name: value for name, value in environment.items() if not name.startswith("AIRFLOW")}


class Checkout:
    """The copy, which shares the virtual environment and the jars; `environment` is passed to its commands."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("target", "__pycache__"))
        for file in FILES:
            shutil.copy2(
                ROOT / file, folder
            )  # with its time, so that the virtual environment is not older than its lock file
        for part in SHARED:
            (folder / part).symlink_to(ROOT / part)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in (*config.PORTS, *config.OPTIONS) and not config.PARAMETER.fullmatch(name)
        }
        self._environment = inherited | {"LAKEHOUSE_HOME": str(self.home)} | environment

    @property
    def home(self) -> Path:
        """The platform's state folder."""
        return self.folder / ".local"

    def command(self, *arguments: str) -> str:
        """Run a command of the platform (`python -m local`) and return its output."""
        return self._run("local", arguments, VERB_LIMIT_S)

    def demo(self, *arguments: str) -> str:
        """Run the demo and return its output."""
        return self._run("demo", arguments, DEMO_LIMIT_S)

    def type_in(self, line: str, limit_s: float = VERB_LIMIT_S) -> str:
        """Run a line of the README in a shell without Airflow's variables, and return its output."""
        env = without_airflow(self._environment)
        run = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=env, capture_output=True, text=True, timeout=limit_s
        )
        assert run.returncode == 0, f"{line}:\n{run.stdout}\n{run.stderr}"
        return run.stdout

    def readme_commands(self, section: str) -> list[str]:
        """The lines of the first code block of a section of the README."""
        text = (self.folder / "README.md").read_text().split(f"## {section}\n")[1]
        return text.split("```")[1].strip().splitlines()

    def _run(self, module: str, arguments: tuple[str, ...], limit_s: float) -> str:
        command = [sys.executable, "-m", module, *arguments]
        run = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=limit_s
        )
        assert run.returncode == 0, f"{arguments}:\n{run.stdout}\n{run.stderr}"
        return run.stdout

    def shell(self, platform: Platform, *command: str, **changed: str) -> subprocess.CompletedProcess:
        """Run a command in a shell after `eval "$(make -s env)"`; some variables can be overridden."""
        env = self.shell_environment(platform) | changed
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=COMMAND_LIMIT_S
        )

    def shell_environment(self, platform: Platform) -> dict[str, str]:
        """The environment of a shell after `eval "$(make -s env)"`."""
        # Connections and variables come from Airflow's database there, not from the sources of this process.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_"))
        }
        environment = airflow.environment(platform)
        # `local` was imported from the repository; in that shell, its folders are those of the copy.
        moved = {
            name: text.replace(str(ROOT), str(self.folder)) for name, text in environment.items() if "FOLDER" in name
        }
        return inherited | environment | moved | {"PYTHONPATH": str(self.folder / "plugins")}

    def connect(self, conn_id: str, **fields: Any) -> None:
        """Change fields of a connection in the copy's settings, as after moving a service."""
        self._edit("connections", "conn_id", conn_id, {f"conn_{name}": value for name, value in fields.items()})

    def change_variable(self, name: str, **changes: Any) -> str:
        """Change entries of a mapping variable in the copy's settings; return it as JSON."""
        declared = yaml.safe_load(self._settings.read_text())["airflow"]["variables"]
        value = next(v["variable_value"] for v in declared if v["variable_name"] == name) | changes
        self._edit("variables", "variable_name", name, {"variable_value": value})
        return json.dumps(value)

    def _edit(self, kind: str, key: str, name: str, changes: dict[str, Any]) -> None:
        settings = yaml.safe_load(self._settings.read_text())
        next(entry for entry in settings["airflow"][kind] if entry[key] == name).update(changes)
        self._settings.write_text(yaml.safe_dump(settings))

    @property
    def _settings(self) -> Path:
        return self.folder / "airflow_settings.yaml"
