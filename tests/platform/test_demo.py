"""`make demo` on a running platform: quick, right, and the same as JSON."""

from __future__ import annotations

import json


def test_demo_on_a_running_platform(platform, main_job, copy):
    printed = copy.demo()

    report = json.loads((platform.home / "demo.json").read_text())
    assert report["rows"] == report["expected"]
    assert set(report["rows"]) == {
        "kafka", "bronze", "rejected_events", "silver", "rejected_trips", "fct_trips", "mart_daily_revenue", "mart_hourly_demand",
    }  # fmt: skip
    assert report["ledger_balanced"]
    assert set(report["phases_s"]) == {"start", "produce", "bronze", "silver", "gold", "end_to_end"}
    assert report["peak_rss_mb"] > report["peak_pss_mb"] > 1_000
    assert "Ledger: balanced" in printed
    assert platform.values["AIRFLOW_ADMIN_PASSWORD"] in printed


def test_the_next_demo_sends_other_trips(platform, main_job, copy):
    before = json.loads((platform.home / "demo.json").read_text())

    copy.demo()

    after = json.loads((platform.home / "demo.json").read_text())
    assert after["trips"]["seed"] == before["trips"]["seed"] + 1
    assert after["rows"]["fct_trips"] > before["rows"]["fct_trips"]
