"""Every command that README, docs and `make help` show, typed in a shell: it works, and prints only its answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from typed_commands import COMMANDS, OTHER_PROGRAMS

from demo.main_job import Trips

#: What Airflow and libraries write of themselves.
LOGGED = re.compile(
    r"Skipping masking|Warning\b|Traceback|^\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*\b(DEBUG|INFO|WARNING|ERROR)\b",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def now(main_job, checkout) -> str:
    """After some trips have arrived; files that the commands name are there."""
    main_job.send(Trips(events=2_000, seed=901))
    trips = "tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount,PULocationID\n"
    (checkout / "trips.csv").write_text(f"{trips}2024-01-05 08:00:00,2024-01-05 08:10:00,1.5,10,132\n")
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("line", COMMANDS)
def test_it_works_and_prints_only_its_answer(main_job, copy, now, line):
    if "audit" in line or "dbt-" in line:
        main_job.wait(main_job.ledger_at_rest, "the trips to arrive", 120)
    said = copy.type_in(f"set -o pipefail; {{ {line.replace('NOW', now)} ; }} 2>&1")
    assert said.strip()
    if not line.startswith(OTHER_PROGRAMS):
        assert LOGGED.findall(said) == [], said
