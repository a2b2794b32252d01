"""Each rule at its limit: the last healthy value, the first unhealthy one, and its reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lakehouse.streaming.health import JobHealth, evaluate_job, thresholds
from lakehouse.streaming.health.measure import MISSING, SUSPENDED
from lakehouse.streaming.health.rules import BY_NAME, RULES

SEEN_BY_NO_RULE = "warehouse-full"
RUNBOOK = Path(__file__).parents[4] / "docs" / "runbook.md"
FINE = {
    "job": "nyc_taxi.bronze",
    "state": "RUNNING",
    "lag": 0,
    "overdue": 0,
    "commit_age_s": 3.0,
    "data_files": {"bronze.raw_trips": 10, "bronze.rejected_events": 0},
    "surplus_files": {"bronze.raw_trips": 9, "bronze.rejected_events": 0},
    "restarts": 0,
    "checkpoint_age_s": 3.0,
    "checkpoint_duration_s": 0.5,
    "failed_checkpoints": 0,
    "backpressure_percent": 0.0,
}


def broken(**seen) -> dict[str, str]:
    """Rule -> reason, for a healthy job with these changes, with the thresholds of the settings."""
    found = evaluate_job(JobHealth(**FINE | seen), thresholds())
    return {rule.name: reason for rule, reason in found.items() if reason}


@pytest.mark.parametrize(
    "seen",
    [
        {},
        {"restarts": 2},
        {"checkpoint_age_s": 59.9},
        {"checkpoint_duration_s": 59.9},
        {"checkpoint_duration_s": None},
        {"failed_checkpoints": 1},
        {"lag": 10_000},
        {"backpressure_percent": 10.0},
        {"backpressure_percent": None},
        {"data_files": {"bronze.raw_trips": 9_000}, "surplus_files": {"bronze.raw_trips": 1_000}},
        {"commit_age_s": 9_999},
        {"commit_age_s": None},
        {"state": SUSPENDED, "lag": 20_000, "overdue": 5, "restarts": None, "checkpoint_age_s": None},
    ],
)
def test_just_within(seen):
    assert broken(**seen) == {}


OVERTAKEN = {"overdue": 3, "overtaken": 3, "overtaken_at": "partition 1: offsets 5 to 7"}


@pytest.mark.parametrize(
    ("seen", "rule", "reason"),
    [
        ({"state": "RESTARTING"}, "job-not-running", "Flink job nyc_taxi.bronze is RESTARTING"),
        ({"restarts": 3}, "restarts", "Flink job nyc_taxi.bronze failed 3 times in the last 600 s"),
        (
            {"checkpoint_age_s": 60.0},
            "checkpoint-late",
            "Flink job nyc_taxi.bronze has completed no checkpoint for 60 s (limit 60 s)",
        ),
        (
            {"checkpoint_duration_s": 60.0},
            "checkpoint-slow",
            "the last checkpoint of Flink job nyc_taxi.bronze took 60 s (limit 60 s)",
        ),
        ({"failed_checkpoints": 2}, "checkpoint-failing", "the last 2 checkpoints of Flink job nyc_taxi.bronze failed"),
        (
            {"overdue": 1},
            "commits-stale",
            "1 rows older than 60 s have not reached bronze.raw_trips or bronze.rejected_events; the last commit is 3 s old",
        ),
        (
            OVERTAKEN,
            "rows-missing",
            (
                "3 rows older than 60 s are in none of bronze.raw_trips, bronze.rejected_events, though later ones are: "
                "partition 1: offsets 5 to 7"
            ),
        ),
        (
            {**OVERTAKEN, "removals": ("table a was rolled back",)},
            "rows-missing",
            (
                "3 rows older than 60 s are in none of bronze.raw_trips, bronze.rejected_events, though later ones are: "
                "partition 1: offsets 5 to 7; table a was rolled back"
            ),
        ),
        (
            {"deleted_unread": 3, "deleted_at": "partition 1: offsets 5 to 7"},
            "rows-missing",
            (
                "Kafka deleted 3 events before they were read; none of bronze.raw_trips, bronze.rejected_events holds "
                "partition 1: offsets 5 to 7"
            ),
        ),
        (
            {"lag": 10_001, "partition_lag": {1: 10_000, 0: 1}},
            "lag",
            "10,001 rows wait for Flink job nyc_taxi.bronze (limit 10,000); by Kafka partition 0: 1, 1: 10,000",
        ),
        ({"lag": 10_001}, "lag", "10,001 rows wait for Flink job nyc_taxi.bronze (limit 10,000)"),
        (
            {"backpressure_percent": 10.6},
            "backpressure",
            "an operator of Flink job nyc_taxi.bronze is blocked by the next one 11 % of its time (limit 10 %)",
        ),
        (
            {"surplus_files": {"bronze.raw_trips": 1_001}},
            "data-files",
            "bronze.raw_trips has 1,001 data files more than its data would fill (limit 1,000)",
        ),
        (
            {"state": SUSPENDED, "unknown_writers": ("table a is written by x", "table b is written by x")},
            "unknown-writer",
            "table a is written by x; table b is written by x",
        ),
        (
            {"state": SUSPENDED, "surplus_files": {"bronze.raw_trips": 1_001}},
            "data-files",
            "bronze.raw_trips has 1,001 data files more than its data would fill (limit 1,000)",
        ),
    ],
)
def test_just_beyond(seen, rule, reason):
    assert broken(**seen) == {rule: reason}


def test_for_a_missing_job_only_rules_without_flink_are_evaluated():
    gone = {**FINE, "state": MISSING, **dict.fromkeys(["restarts", "checkpoint_age_s", "failed_checkpoints"])}
    found = {rule.name: reason for rule, reason in evaluate_job(JobHealth(**gone), thresholds()).items()}
    assert found.pop("job-missing") == "Flink job nyc_taxi.bronze is gone; the DAG flink_jobs deploys it"
    without_flink = (
        "commits-stale",
        "rows-missing",
        "lag",
        "data-files",
        "watermark-behind",
        "watermark-standing",
        "unknown-writer",
    )
    assert found == dict.fromkeys(without_flink)


def test_how_long_a_rule_must_be_broken_before_it_fires():
    lasts = {rule.name: rule.lasts_s(thresholds()) for rule in RULES}
    assert (lasts.pop("lag"), lasts.pop("backpressure"), lasts.pop("rows-missing")) == (300, 600, 30)
    assert lasts.pop("data-files") == 7_200  # maintenance runs every hour
    at_once = {"task-failed", "dbt-failed", "gold-held-back", "maintenance-failed", "declaration-broken", "dag-broken"}
    at_once |= {"unknown-writer"}
    assert {lasts.pop(name) for name in at_once} == {0}
    assert set(lasts.values()) == {90}  # no alerts about problems that the platform fixes by itself in time


def test_only_rules_that_prevent_gold_are_unhealthy():
    others = {"lag", "backpressure", "data-files", "watermark-behind", "watermark-standing", "unknown-writer"}
    assert {rule.name for rule in RULES if rule.evaluate and not rule.unhealthy} == others


def test_every_rule_has_its_section_in_the_runbook_and_every_section_its_rule():
    sections = re.findall(r"^## (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sections == [*BY_NAME, SEEN_BY_NO_RULE]


@pytest.mark.parametrize("name", [*BY_NAME, SEEN_BY_NO_RULE])
def test_each_section_has_next_steps(name):
    section = RUNBOOK.read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]
    for part in ("It means", "Look at", "What fixes it", "It is resolved"):
        assert re.search(rf"^\*\*{part}\*\*", section, re.MULTILINE), f"{name}: **{part}** is missing"


def test_commands_in_the_runbook_are_make_targets():
    named = set(re.findall(r"`(?:[A-Z_]+=\S+ )?make (\S+?)[` ]", RUNBOOK.read_text()))
    verbs = set(re.findall(r"^([a-z-]+):.*## ", (RUNBOOK.parents[1] / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named - verbs == set()
