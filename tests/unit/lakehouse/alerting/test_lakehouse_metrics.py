"""What Prometheus is told: the figures that health, ledger and tables have, and each rule beside its threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lakehouse.alerting import metrics
from lakehouse.alerting.metrics import PlatformCollector
from lakehouse.alerting.watch import Seen
from lakehouse.quality.ledger import Ledger, PartitionLedger
from lakehouse.streaming.health import JobHealth, thresholds
from lakehouse.streaming.health.rules import RULES

FINE = JobHealth("bronze", "RUNNING", 3, 0, 1.5, {}, {0: 2, 1: 1}, 0, 4.0, 0.5, 0, 7.0)
GONE = JobHealth("silver", "MISSING", 9, 9, None, {})
LEDGER = Ledger({0: PartitionLedger(10, 6, 4), 1: PartitionLedger(5, 5, 0)}, 9, 1, 1, None)


@pytest.fixture
def seen(monkeypatch) -> list[Seen]:
    """What is seen at each scrape: the last one counts."""
    seen = [Seen((FINE, GONE), LEDGER, ())]
    monkeypatch.setattr(metrics, "look", lambda limits: seen[-1])
    monkeypatch.setattr(metrics, "nothing_to_judge", lambda: False)
    monkeypatch.setattr(metrics, "_tables", lambda: iter(()))
    return seen


@pytest.fixture
def scrape(seen):
    registry = CollectorRegistry()
    registry.register(PlatformCollector())

    def scrape() -> dict[tuple, float]:
        return {
            (
                sample.name.removeprefix("lakehouse_"),
                *(value for _, value in sorted(sample.labels.items())),
            ): sample.value
            for family in text_string_to_metric_families(generate_latest(registry).decode())
            for sample in family.samples
        }

    return scrape


def test_jobs_as_health_sees_them(scrape):
    found = scrape()
    assert (found["job_running", "bronze"], found["job_running", "silver"]) == (1, 0)
    assert (found["job_lag", "bronze"], found["job_commit_age_s", "bronze"]) == (3, 1.5)
    assert ("job_commit_age_s", "silver") not in found
    assert (found["partition_lag", "bronze", "0"], found["partition_lag", "bronze", "1"]) == (2, 1)


def test_the_ledger_by_layer_and_partition(scrape):
    found = scrape()
    assert (found["ledger_rows", "0", "kafka"], found["ledger_rows", "0", "rejected_events"]) == (10, 4)
    assert (found["ledger_rows", "", "silver"], found[("ledger_balanced",)]) == (9, LEDGER.balanced)


def test_every_threshold_is_the_settings(scrape):
    found = scrape()
    assert found["threshold", "lag"] == thresholds().lag
    assert all(found["rule_lasts_seconds", rule.name] == rule.lasts_s(thresholds()) for rule in RULES)


def test_a_broken_rule_counts_its_seconds_and_begins_anew(scrape, seen, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(metrics.time, "time", lambda: now)
    assert scrape()["rule_broken_seconds", "job-missing", "silver"] == 0.001
    now += 60
    found = scrape()
    assert found["rule_broken_seconds", "job-missing", "silver"] == 60
    assert found["rule_broken_seconds", "job-missing", "bronze"] == 0
    seen.append(Seen((FINE, replace(FINE, job="silver")), LEDGER, ()))
    assert scrape()["rule_broken_seconds", "job-missing", "silver"] == 0
    seen.append(seen[0])
    assert scrape()["rule_broken_seconds", "job-missing", "silver"] == 0.001


def test_what_cannot_be_asked_is_a_broken_rule(scrape, seen):
    seen.append(Seen((), None, ("Kafka does not answer",)))
    found = scrape()
    assert found["rule_broken_seconds", "unreachable", "platform"] > 0
    assert not [name for name in found if name[0].startswith(("job", "ledger"))]
