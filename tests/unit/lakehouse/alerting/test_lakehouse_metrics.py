"""What Prometheus scrapes: the figures of health, ledgers and tables by pipeline, and each rule with its threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lakehouse.alerting import metrics
from lakehouse.alerting.evaluate import Observation
from lakehouse.alerting.metrics import PlatformCollector
from lakehouse.pipelines.load import Declarations
from lakehouse.quality.ledger import Ledger, PartitionLedger, StageLedger
from lakehouse.streaming.health import JobHealth, thresholds
from lakehouse.streaming.health.rules import RULES

BRONZE, SILVER = "nyc_taxi.bronze", "nyc_taxi.silver"
FINE = JobHealth(BRONZE, "RUNNING", 3, 0, 1.5, {}, {0: 2, 1: 1}, 0, 4.0, 0.5, 0, 7.0)
GONE = JobHealth(SILVER, "MISSING", 9, 9, None, {})
Scrape = Callable[[], dict[tuple, float]]


@pytest.fixture
def seen(monkeypatch, taxi, meters) -> dict[str, Observation | Exception]:
    """The observation of each pipeline at the next scrape."""
    events = {
        0: PartitionLedger(10, {"accepted": 6, "rejected": 4}),
        1: PartitionLedger(5, {"accepted": 5, "rejected": 0}),
    }
    bronze = StageLedger(taxi.stages["bronze"], events, taxi.topic.name)
    typed = {0: PartitionLedger(11, {"accepted": 9, "rejected": 1, "duplicate": 1})}
    silver = StageLedger(taxi.stages["silver"], typed)
    sorted_ = {2: PartitionLedger(7, {"valid": 5, "late": 1}, in_flight=1)}
    readings = StageLedger(meters.stages["sorted"], sorted_, meters.topic.name)
    job = replace(FINE, job="meters.sorted", partition_lag={})
    seen = {
        "nyc_taxi": Observation(taxi, False, (FINE, GONE), Ledger(taxi, (bronze, silver))),
        "meters": Observation(meters, False, (job,), Ledger(meters, (readings,))),
    }

    def observe(pipeline, limits):
        found = seen[pipeline.name]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(metrics, "observe", observe)
    monkeypatch.setattr(metrics, "declarations", lambda: Declarations({"meters": meters, "nyc_taxi": taxi}, {}))
    return seen


@pytest.fixture
def scrape(seen) -> Scrape:
    registry = CollectorRegistry()
    registry.register(PlatformCollector())

    def scrape() -> dict[tuple, float]:
        """(name, labels in the order of their names) -> value."""
        text = generate_latest(registry).decode()
        helped = [line for line in text.splitlines() if line.startswith("# HELP")]
        assert len(helped) == len({line.split()[2] for line in helped}), "Prometheus allows each name once"
        return {
            (
                sample.name.removeprefix("lakehouse_"),
                *(value for _, value in sorted(sample.labels.items())),
            ): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    return scrape


def test_jobs_as_health_sees_them(scrape):
    found = scrape()
    assert (found["job_running", BRONZE, "nyc_taxi"], found["job_running", SILVER, "nyc_taxi"]) == (1, 0)
    assert found["job_running", "meters.sorted", "meters"] == 1
    assert (found["job_lag", BRONZE, "nyc_taxi"], found["job_commit_age_s", BRONZE, "nyc_taxi"]) == (3, 1.5)
    assert ("job_commit_age_s", SILVER, "nyc_taxi") not in found
    assert (found["partition_lag", BRONZE, "0", "nyc_taxi"], found["partition_lag", BRONZE, "1", "nyc_taxi"]) == (2, 1)


def test_the_ledgers_by_stage_table_and_partition(scrape, seen):
    """Labels: partition, pipeline, place, role, stage."""
    found = {key[1:]: value for key, value in scrape().items() if key[0] == "ledger_rows"}
    assert found == {
        ("0", "nyc_taxi", "taxi.raw_trips", "topic", "topic"): 10,
        ("1", "nyc_taxi", "taxi.raw_trips", "topic", "topic"): 5,
        ("0", "nyc_taxi", "bronze.raw_trips", "accepted", "bronze"): 6,
        ("1", "nyc_taxi", "bronze.raw_trips", "accepted", "bronze"): 5,
        ("0", "nyc_taxi", "bronze.rejected_events", "rejected", "bronze"): 4,
        ("1", "nyc_taxi", "bronze.rejected_events", "rejected", "bronze"): 0,
        ("0", "nyc_taxi", "silver.cleaned_trips", "accepted", "silver"): 9,
        ("0", "nyc_taxi", "silver.rejected_trips", "rejected", "silver"): 1,
        ("0", "nyc_taxi", "silver.duplicate_trips", "duplicate", "silver"): 1,
        ("2", "meters", "meter.readings", "topic", "topic"): 7,
        ("2", "meters", "bronze.meters", "valid", "sorted"): 5,
        ("2", "meters", "x.late", "late", "sorted"): 1,
    }
    balanced = scrape()
    assert (balanced["ledger_balanced", "nyc_taxi"], balanced["ledger_balanced", "meters"]) == (1, 0)


def test_tables_have_the_pipeline_that_writes_them(scrape, fill):
    """Not by their namespace: the pipelines share one."""
    for table in ("bronze.raw_trips", "bronze.meters", "bronze.other"):
        fill(table, 2)
    found = {key[1:]: value for key, value in scrape().items() if key[0] == "table_rows"}
    assert found == {
        ("nyc_taxi", "bronze.raw_trips"): 2,
        ("meters", "bronze.meters"): 2,
        ("platform", "bronze.other"): 2,
    }


def test_every_threshold_is_that_of_the_settings(scrape):
    found = scrape()
    assert found["threshold", "lag"] == thresholds().lag
    assert all(found["rule_lasts_seconds", rule.name] == rule.lasts_s(thresholds()) for rule in RULES)


def test_a_broken_rule_counts_its_seconds_and_starts_from_zero_again(scrape, seen, monkeypatch):
    """Labels: pipeline, rule, subject."""
    missing, before = ("rule_broken_seconds", "nyc_taxi", "job-missing"), seen["nyc_taxi"]
    now = 1_000_000.0
    monkeypatch.setattr(metrics.time, "time", lambda: now)
    assert scrape()[*missing, SILVER] == 0.001
    now += 60
    found = scrape()
    assert found[*missing, SILVER] == 60
    assert found[*missing, BRONZE] == 0
    seen["nyc_taxi"] = replace(before, jobs=(FINE, replace(FINE, job=SILVER)))
    assert scrape()[*missing, SILVER] == 0
    seen["nyc_taxi"] = before
    assert scrape()[*missing, SILVER] == 0.001


def test_an_unavailable_service_is_a_broken_rule(scrape, seen, taxi):
    seen["nyc_taxi"] = Observation(taxi, problems=("Kafka does not answer",))
    found = scrape()
    assert found["rule_broken_seconds", "nyc_taxi", "unreachable", "nyc_taxi"] > 0
    assert not [key for key in found if key[0].startswith(("job", "ledger")) and "nyc_taxi" in key]


def test_before_the_first_event_no_rule_is_broken(scrape, seen):
    seen["nyc_taxi"] = replace(seen["nyc_taxi"], unused=True, problems=("no such table",))
    found = scrape()
    assert not [key for key, value in found.items() if key[:2] == ("rule_broken_seconds", "nyc_taxi") and value]


def test_a_broken_pipeline_does_not_hide_the_others(scrape, seen):
    seen["meters"] = KeyError("a table whose metadata is gone")
    found = scrape()
    assert found["rule_broken_seconds", "meters", "unreachable", "meters"] > 0
    assert found["rule_broken_seconds", "nyc_taxi", "unreachable", "nyc_taxi"] == 0
    assert found["job_lag", BRONZE, "nyc_taxi"] == 3
    assert found["ledger_balanced", "nyc_taxi"] == 1
