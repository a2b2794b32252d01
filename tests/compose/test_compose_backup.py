"""A backup during ingestion, restored into an empty project with another name: no row is lost or duplicated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from compose_project import COMMAND_LIMIT_S, UP_LIMIT_S, Compose

from lakehouse.waiting import wait_until
from local.config import ROOT

LIMIT_S = 600
EVENTS, RATE = 20_000, 500


@pytest.fixture(scope="module")
def backup(compose: Compose) -> Iterator[Path]:
    """A backup made during ingestion; its project is stopped afterwards, and keeps its data."""
    compose.demo(10_000, 31)
    before = set((ROOT / "backups").glob("2*"))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(compose.generate, f"--events={EVENTS}", "--mode=realtime", f"--rate={RATE}", "--seed=32")
        wait_until(lambda: "rows in flight" in compose.lakehouse("ledger"), "rows in flight", LIMIT_S)
        compose.make("compose-backup", limit_s=COMMAND_LIMIT_S)
        sending.result()
    # Stopping the jobs loses no row.
    assert "Ledger: balanced" in compose.demo(1_000, 34)
    [made] = set((ROOT / "backups").glob("2*")) - before
    compose("--profile", "*", "stop")
    yield made
    shutil.rmtree(made)
    compose("up", "--detach", "--wait", limit_s=UP_LIMIT_S)


@pytest.fixture(scope="module")
def restored(compose: Compose, backup: Path) -> Iterator[Compose]:
    """The platform as of the backup, in a project with another name."""
    other = Compose()
    other.environment["COMPOSE_PROJECT_NAME"] += "-restored"
    try:
        other.make("compose-restore", f"FROM={backup}", limit_s=UP_LIMIT_S)
        yield other
    finally:
        other("--profile", "*", "down", "--volumes")


def test_only_the_owner_can_read_a_backup(backup: Path):
    files = [backup, *backup.iterdir()]
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    listed = json.loads((backup / "manifest.json").read_text())["files"]
    assert {file.name for file in backup.iterdir()} == {*listed, "manifest.json"}


def test_restoring_into_an_existing_project_is_refused(compose: Compose, backup: Path):
    refused = compose.run("make", "compose-restore", f"FROM={backup}")
    assert refused.returncode
    assert f"{compose.environment['COMPOSE_PROJECT_NAME']} already has volumes" in refused.stderr


def test_rows_in_flight_arrive(restored: Compose):
    wait_until(lambda: "rows in flight" not in restored.lakehouse("ledger"), "no row in flight", LIMIT_S)
    assert json.loads(restored.lakehouse("ledger", "--pipeline=nyc_taxi", "--json"))["errors"] == []


def test_new_trips_are_processed(restored: Compose):
    assert "Ledger: balanced" in restored.demo(5_000, 33)


def test_the_audit_finds_every_event(restored: Compose):
    assert "audit: clean" in restored.lakehouse("audit", "--at-rest")
