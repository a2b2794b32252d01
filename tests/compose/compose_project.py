"""`docker compose` for the tests' own project, with stand-ins for the official images, or with these."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.config import ROOT

OFFICIAL = os.environ.get("TEST_COMPOSE_IMAGES") == "official"
FILES = ("docker-compose.yaml", *(() if OFFICIAL else ("tests/compose/docker-compose.override.yaml",)))
PORT = os.environ.get("TEST_COMPOSE_PORT", "28080")
GRAFANA_PORT = os.environ.get("TEST_COMPOSE_GRAFANA_PORT", "28300")
BUILD_LIMIT_S, UP_LIMIT_S, COMMAND_LIMIT_S = 1800, 900, 600


class Compose:
    """`docker compose` for the tests' own project."""

    def __init__(self) -> None:
        self.files = [f"--file={ROOT / file}" for file in FILES]
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": "lakehouse-test",
            "AIRFLOW_PORT": PORT,
            "GRAFANA_PORT": GRAFANA_PORT,
            "COMPOSE_FILES": " ".join(self.files),
        }
        if not OFFICIAL:
            # BuildKit would look for the stand-ins in a registry.
            self.environment["DOCKER_BUILDKIT"] = "0"

    def run(self, *command: str, limit_s: float = COMMAND_LIMIT_S, **more) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=limit_s, **more
        )

    def __call__(self, *arguments: str, limit_s: float = COMMAND_LIMIT_S, **more) -> str:
        """Run `docker compose` and return its output."""
        run = self.run("docker", "compose", *self.files, *arguments, limit_s=limit_s, **more)
        assert run.returncode == 0, f"{arguments}:\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}"
        return run.stdout

    def make(self, *arguments: str, limit_s: float) -> str:
        """Run a `make` target."""
        run = self.run("make", "--no-print-directory", *arguments, f"PYTHON={sys.executable}", limit_s=limit_s)
        assert run.returncode == 0, f"{arguments}:\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}"
        return run.stdout

    def demo(self, events: int, seed: int) -> str:
        """Run the main job once, and return the table that it prints; all counts must be right."""
        return self("run", "--rm", "-T", "demo", "--events", str(events), "--seed", str(seed), limit_s=UP_LIMIT_S)

    def lakehouse(self, *arguments: str) -> str:
        """Run `python -m lakehouse` in the scheduler's container, and return its output."""
        return self("exec", "-T", "airflow-scheduler", "python", "-m", "lakehouse", *arguments)

    def generate(self, *arguments: str) -> str:
        """Send trips from the scheduler's container."""
        return self("exec", "-T", "airflow-scheduler", "python", "-m", "taxi_generator", *arguments)

    def python(self, service: str, script: Path, *arguments: str) -> str:
        """Run a script in a service's container, and return its output."""
        return self("exec", "-T", service, "python", "-", *arguments, input=script.read_text())


def secret(name: str) -> str:
    """A value of `.env`."""
    lines = (ROOT / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)[name]
