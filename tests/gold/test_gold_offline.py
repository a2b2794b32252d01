"""dbt runs on a new machine without a network."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.gold.silver import odd_trips

# Ends without clean-up, like a forked process: the file must be complete by then.
DBT = """
import os, sys

def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        print(f"{event} {args}", flush=True)
        os._exit(100)

sys.addaudithook(refuse)
from dbt.cli.main import dbtRunner
os._exit(0 if dbtRunner().invoke(sys.argv[1:]).success else 1)
"""


def test_dbt_makes_no_network_requests(dbt, silver, tmp_path):
    home, gold = tmp_path / "home", tmp_path / "gold"
    for folder in (home, gold):
        folder.mkdir()
    # The environment of a user without settings: everything needed is in the project.
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {
        "LAKEHOUSE_GOLD_PATH": str(gold / "gold.duckdb"),
        "LAKEHOUSE_PIPELINE": dbt.pipeline,
        "LAKEHOUSE_SOURCE_METADATA": silver.append(odd_trips(0, 100, "2024-02-01 10:00:00+00")),
    }
    command = ["build", "--quiet", "--select", "stg_trips", "--indirect-selection", "cautious"]

    done = subprocess.run(
        [sys.executable, "-c", DBT, *command, *dbt.options],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert list(home.rglob("*")) == []  # no extension of DuckDB
    assert [file.name for file in gold.iterdir()] == ["gold.duckdb"]  # and no write-ahead log
