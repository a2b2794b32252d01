"""dbt from a shell: each command works on its own copy, and keeps it only after a failure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lakehouse.gold import dbt, file

TABLE = "silver.cleaned_trips"


@pytest.fixture
def copies(fill, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders in which dbt ran; a stub, which fails if there is a file `broken`."""
    folders = []

    def run_dbt(pipeline, *command, scratch, **options):
        folders.append(scratch)
        return subprocess.CompletedProcess(command, int((file.published_file(pipeline).parent / "broken").exists()))

    monkeypatch.setattr(dbt, "run_dbt", run_dbt)
    fill(TABLE, 8)
    return folders


@pytest.mark.parametrize("command", [dbt.test, dbt.docs])
def test_a_command_that_publishes_nothing_leaves_nothing(command, taxi, copies, iceberg):
    assert command(taxi) == 0
    assert not copies[0].exists()
    assert set(iceberg.load_table(TABLE).metadata.refs) == {"main"}


@pytest.mark.parametrize("command", [dbt.build, dbt.test, dbt.docs])
def test_no_two_commands_share_a_copy(command, taxi, copies):
    broken = file.published_file(taxi).parent / "broken"
    broken.parent.mkdir(parents=True)
    broken.touch()
    assert [command(taxi), command(taxi)] == [1, 1]
    assert len(set(copies)) == 2
    assert all(copy.exists() for copy in copies)  # for inspection
