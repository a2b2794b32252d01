"""A platform of an earlier version, whose jobs had other names, starts with this version: nothing is lost or duplicated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import FILES, PARTS, without_airflow

from demo import embedded
from demo.main_job import Trips
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.gold.file import count_fact
from local import config
from local.config import ROOT
from local.progress import Progress

#: The last commit in which the streaming jobs were called bronze and silver, and the code knew one data set.
VERSION_BEFORE = "ae2d843"
PORT_BASE = "28100"
LIMIT_S = 600


@pytest.fixture
def folder() -> Iterator[Path]:
    """If run as root, PostgreSQL's user needs access."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-upgrade-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def version_before(folder: Path) -> Path:
    """A checkout of that version, with this one's environment and jars."""
    archive = ["git", "-C", str(ROOT), "archive", VERSION_BEFORE, "dags", "include", "plugins", "local", *FILES]
    packed = subprocess.run(archive, capture_output=True)
    if packed.returncode:
        pytest.skip(f"git has no commit {VERSION_BEFORE} here: {packed.stderr.decode().strip()}")
    checkout = folder / "checkout"
    checkout.mkdir()
    subprocess.run(["tar", "--extract", "--directory", str(checkout)], input=packed.stdout, check=True)
    (checkout / "flink").symlink_to(ROOT / "flink")
    return checkout


def local(checkout: Path, *arguments: str) -> None:
    """A command of the platform in this checkout."""
    known = {*config.PORTS, *config.OPTIONS, "LAKEHOUSE_HOME", "PYTHONPATH"}
    environment = {name: value for name, value in without_airflow(os.environ).items() if name not in known}
    environment |= {"LAKEHOUSE_HOME": str(checkout / ".local"), "PORT_BASE": PORT_BASE}
    command = [sys.executable, "-m", "local", *arguments]
    run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"


@pytest.mark.timeout(1800)
def test_its_jobs_continue_from_their_checkpoints(version_before: Path, monkeypatch: pytest.MonkeyPatch):
    home = version_before / ".local"
    try:
        local(version_before, "demo", "--events", "2000")
        local(version_before, "down")
        assert {path.name for path in (home / "flink" / "checkpoints").iterdir()} == {"bronze", "silver"}

        for part in PARTS:
            shutil.rmtree(version_before / part, ignore_errors=True)
            shutil.copytree(ROOT / part, version_before / part, ignore=shutil.ignore_patterns("target", "__pycache__"))
        for file in FILES:
            shutil.copy(ROOT / file, version_before)
        monkeypatch.setenv("LAKEHOUSE_HOME", str(home))
        local(version_before, "up")
        job = embedded.main_job(config.load(), Progress())
        job.deploy()
        flink = FlinkRestHook()
        for stage in ("bronze", "silver"):
            restored = flink.checkpoints(flink.live_run(f"nyc_taxi.{stage}").job_id)["latest"]["restored"]
            assert f"/checkpoints/{stage}/" in restored["external_path"]
        before = job.wait(job.ledger_at_rest, "rest", LIMIT_S)
        assert before.events == 2_000

        outcome = job.run(Trips(events=1_000, seed=2))

        assert outcome.right, outcome
        assert outcome.rows["kafka"] == 3_000
        assert not (home / "gold" / "gold.duckdb").exists()  # it is in its pipeline's folder
        assert count_fact(job.pipeline) == outcome.rows["silver"]
    finally:
        local(version_before, "down")
