"""`make demo` on a running platform: correct counts, as text and as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from demo import embedded, window
from local import config
from local.config import Platform
from local.progress import Progress
from taxi_generator.pipeline import OUTSIDE

HEAD = "tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount,PULocationID"
DECLARED = " ".join(f"{name}=" for name in window.OVERRIDES)


def test_demo_on_a_running_platform(platform, main_job, copy):
    printed = copy.demo()

    report = json.loads((platform.home / "demo.json").read_text())
    assert report["rows"] == report["expected"]
    assert set(report["rows"]) == {
        "kafka", "bronze", "rejected_events", "silver", "rejected_trips", "fct_trips", "mart_daily_revenue", "mart_hourly_demand",
    }  # fmt: skip
    assert report["ledger_balanced"]
    assert set(report["phases_s"]) == {"start", "produce", "bronze", "silver", "live", "gold", "end_to_end"}
    assert report["peak_rss_mb"] > report["peak_pss_mb"] > 1_000
    assert "Ledger: balanced" in printed
    assert platform.values["AIRFLOW_ADMIN_PASSWORD"] in printed


def test_the_next_demo_sends_other_trips(platform, main_job, copy):
    before = json.loads((platform.home / "demo.json").read_text())

    copy.demo()

    after = json.loads((platform.home / "demo.json").read_text())
    assert after["trips"]["seed"] == before["trips"]["seed"] + 1
    assert after["rows"]["fct_trips"] > before["rows"]["fct_trips"]


@pytest.fixture
def february(tmp_path: Path) -> Path:
    """A file of 200 trips of February, one of 2002 and one with a negative fare."""
    trips = [
        f"2024-02-{1 + n % 28:02} 08:{n % 60:02}:00,2024-02-{1 + n % 28:02} 09:00:00,1.5,{10 + n},132"
        for n in range(200)
    ]
    wrong = [
        "2002-12-31 23:00:00,2002-12-31 23:10:00,1.5,10,132",
        "2024-02-03 08:00:00,2024-02-03 09:00:00,1.5,-10,132",
    ]
    file = tmp_path / "february.csv"
    file.write_text("\n".join([HEAD, *trips, *wrong]) + "\n")
    return file


@pytest.fixture
def declared_window(copy):
    """Restore the declared window after the test, for the jobs too."""
    yield
    copy.command("down")
    copy.type_in(f"{DECLARED} {sys.executable} -m local up")
    embedded.main_job(config.load(), Progress()).deploy()


def report_of(platform: Platform) -> dict:
    return json.loads((platform.home / "demo.json").read_text())


@pytest.mark.timeout(1200)
def test_a_file_of_another_month(platform, main_job, copy, february, declared_window):
    """All of its trips are rejected, which the demo reports; after its next step they are in Gold, permanently."""
    with pytest.raises(AssertionError, match=r"most trips were rejected, 202 of 202: 202 because .*PICKUP_FROM=auto"):
        copy.demo("--source", str(february))
    before = report_of(platform)
    assert before["rejects"] == before["expected_rejects"] == {OUTSIDE: 202}

    copy.demo("--source", str(february), "--pickup-from", "auto")

    after = report_of(platform)
    assert after["window"] == ["2024-02-01 00:00:00", "2024-03-01 00:00:00"]
    assert after["rejects"] == {OUTSIDE: 1, "fare_amount is negative": 1}
    assert after["rows"]["fct_trips"] == before["rows"]["fct_trips"] + 200
    # A later run of flink_jobs, and a command in a shell, use the same window.
    main_job.deploy()
    kept = copy.shell(
        config.load(), sys.executable, "-c", "from taxi_generator.pipeline import window; print(*window())"
    )
    assert kept.stdout.strip() == "2024-02-01 00:00:00 2024-03-01 00:00:00"
    copy.demo("--source", str(february))
    assert report_of(platform)["rejects"] == {OUTSIDE: 1, "fare_amount is negative": 1}
