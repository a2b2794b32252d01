"""A declaration is fully checked when it is loaded; a broken one is reported in one line, and does not affect others."""

from __future__ import annotations

import copy
import re
from datetime import timedelta
from typing import Any

import pytest
from rides import rides

from lakehouse.pipelines import load
from lakehouse.pipelines.load import DeclarationError, get_pipeline, get_stage


def without(declared: dict, path: str) -> dict:
    """The declaration without one key."""
    return at(declared, path, None, remove=True)


def at(declared: dict, path: str, value: Any, remove: bool = False) -> dict:
    """The declaration with another value at a path."""
    changed = copy.deepcopy(declared)
    *parents, last = path.split("/")
    node = changed
    for key in parents:
        node = node[key]
    if remove:
        del node[last]
    else:
        node[last] = value
    return changed


def test_properties_derived_from_a_declaration(declare):
    pipeline = declare(rides=rides()).pipelines["rides"]
    raw, typed = pipeline.stages.values()
    assert (raw.job, typed.job, pipeline.dag_id) == ("rides.raw", "rides.typed", "rides_pipeline")
    assert raw.topic_tables == {"topic_accepted": "bronze.rides", "topic_rejected": "bronze.rides_rejected"}
    assert (typed.topic_tables, typed.reads_topic, raw.reads_topic) == ({}, False, True)
    assert raw.consumer_group == "lakehouse-rides.raw"
    assert (pipeline.readers(raw), pipeline.readers(typed)) == ((typed,), ())
    assert pipeline.writer("silver.rides_rejected") is typed
    assert pipeline.tables == ("bronze.rides", "bronze.rides_rejected", "silver.rides", "silver.rides_rejected")
    assert (pipeline.topic.retention, pipeline.gold.every) == (timedelta(days=7), timedelta(minutes=10))
    assert pipeline.topic.subject == "rides.events-value"


def test_stages_may_be_any_number_in_any_namespace(declare):
    stages = rides()["stages"] | {
        "late": {
            "sql": "05-bronze.sql",
            "source": "silver.rides_rejected",
            "sinks": {"seen": "live.late", "other": "silver.odd"},
        },
        "copy": {"sql": "05-bronze.sql", "source": "bronze.rides", "sinks": {"accepted": "anywhere.copy"}},
    }
    pipeline = declare(rides=rides(stages=stages)).pipelines["rides"]
    assert [stage.namespaces for stage in pipeline.stages.values()] == [
        ("bronze",), ("silver",), ("live", "silver"), ("anywhere",),
    ]  # fmt: skip
    assert [reader.name for reader in pipeline.readers(pipeline.stages["raw"])] == ["typed", "copy"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("a: [1", r"it cannot be read: .*Next: fix the YAML"),
        ("just text", r"it is not a mapping\. Next: write title"),
        (rides(owner="me"), r"owner: unknown key\. Next: remove it"),
        ({**rides(), "name": "rides"}, r"name: unknown key"),
        (without(rides(), "title"), r"title is missing\. Next: add it"),
        (without(rides(), "topic/contract"), r"topic\.contract is missing\. Next: name a file"),
        (
            at(rides(), "topic/contract", "no.json"),
            r"topic\.contract: include/contracts/no\.json does not exist\. Next: add it",
        ),
        (at(rides(), "topic/partition", 3), r"topic\.partition: unknown key"),
        (at(rides(), "topic/partitions", 0), r"topic\.partitions: 0: .*greater than or equal to 1"),
        (at(rides(), "topic/retention", "soon"), r"topic\.retention: 'soon'"),
        (
            at(rides(), "topic/key", "vendor"),
            r"topic\.key: the contract has no field 'vendor'\. Next: choose one of id, Fare",
        ),
        (at(rides(), "stages/raw/sql", "no.sql"), r"stages\.raw\.sql: include/sql/no\.sql does not exist"),
        (at(rides(), "stages/raw/sinks", {}), r"stages\.raw\.sinks: .*at least 1"),
        (at(rides(), "stages/raw/sinks/accepted", "rides"), r"stages\.raw\.sinks\.accepted: 'rides' does not match"),
        (at(rides(), "stages/raw/name", "raw"), r"stages\.raw\.name follows from the key"),
        (
            at(rides(), "stages/typed/source", "bronze.other"),
            r"stages\.typed\.source: 'bronze\.other' is not a sink of an earlier stage\. Next: choose one of topic,",
        ),
        (at(rides(), "stages/raw/source", "silver.rides"), r"stages\.raw\.source: .* is not a sink of an earlier"),
        (
            at(rides(), "stages/typed/sinks/accepted", "bronze.rides"),
            r"stages\.typed\.sinks\.accepted: bronze\.rides is also written by stages\.raw\. Next: use another table",
        ),
        (at(rides(), "stages/typed/sinks/rejected", "silver.rides"), r"silver\.rides is also written by stages\.typed"),
        (at(rides(), "stages/typed/sinks/rejected", "ops.log"), r"stages: ops\.log is in a namespace of the platform"),
        (at(rides(), "stages/typed/sinks/rejected", "silver_before_replay.x"), r"is in a namespace of the platform"),
        (
            at(rides(), "gold/source", "gold.x"),
            r"gold\.source: 'gold\.x' is not a sink of a stage\. Next: choose one of bronze\.rides,",
        ),
        (
            at(rides(), "stages/gold", rides()["stages"]["raw"]),
            r"stages\.gold: the name is reserved for what dbt builds",
        ),
        (
            at(rides(), "stages/typed/aggregates", {"hourly": "bronze.rides"}),
            r"stages\.typed\.aggregates\.hourly: bronze\.rides is also written by stages\.raw\. Next: use another table",
        ),
        (
            at(
                at(rides(), "stages/raw/aggregates", {"hourly": "bronze.hourly"}),
                "stages/typed/source",
                "bronze.hourly",
            ),
            r"stages\.typed\.source: 'bronze\.hourly' is not a sink of an earlier stage",
        ),
        (
            at(rides(), "stages/typed/event_time", {"counted": "all", "windows": "hourly", "rows": "n"}),
            r"stages\.typed\.event_time\.counted: 'all' is not in sinks\. Next: choose one of accepted, rejected",
        ),
        (
            at(rides(), "stages/typed/event_time", {"counted": "accepted", "windows": "hourly", "rows": "n"}),
            r"stages\.typed\.event_time\.windows: 'hourly' is not in aggregates\. Next: choose one of \(none is declared\)",
        ),
        (rides(sort_orders={"silver.x": "id"}), r"sort_orders: no stage writes 'silver\.x'"),
        (rides(params={"Rate": 1}), r"params\.Rate"),
        (at(rides(), "stages/typed/audit", "no.sql"), r"stages\.typed\.audit: include/sql/no\.sql does not exist"),
    ],
)
def test_errors_have_key_and_next_step(declare, broken, message):
    found = declare(rides=broken)
    assert found.pipelines == {}
    problem = found.problems["rides.yaml"]
    assert "\n" not in problem
    assert problem.startswith("rides.yaml: ")
    assert re.search(message, problem), problem


def test_missing_models_are_reported(declare):
    problem = declare(bikes=rides("bikes")).problems["bikes.yaml"]
    assert "gold: dbt/models/bikes does not exist" in problem


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (at(rides("other"), "topic/name", "rides.events"), "topic.name: rides.events is also the topic of rides.yaml"),
        (
            at(rides("other"), "stages/typed/sinks/rejected", "bronze.rides"),
            "stages.typed.sinks: bronze.rides is also written by rides.yaml. Next: use another table",
        ),
    ],
)
def test_two_pipelines_cannot_share_topics_or_tables(declare, include, second, message):
    (include / "dbt/models/zebra").mkdir()
    found = declare(rides=rides(), zebra=second)
    assert list(found.pipelines) == ["rides"]
    assert message in found.problems["zebra.yaml"]


def test_two_pipelines_may_share_namespaces(declare):
    found = declare(rides=rides(), other=rides("other"))
    assert (sorted(found.pipelines), found.problems) == (["other", "rides"], {})


def test_a_broken_declaration_does_not_affect_others(declare):
    found = declare(rides=rides(), other="nonsense")
    assert list(found.pipelines) == ["rides"]
    assert list(found.problems) == ["other.yaml"]


def test_a_disabled_pipeline_is_declared_but_does_not_run(declare):
    found = declare(rides=rides(enabled=False))
    assert (list(found.pipelines), found.enabled) == (["rides"], ())


def test_the_repository_declares_the_taxi_pipeline():
    taxi = get_pipeline("nyc_taxi")
    assert [stage.job for stage in taxi.stages.values()] == ["nyc_taxi.bronze", "nyc_taxi.silver", "nyc_taxi.live"]
    assert get_stage("nyc_taxi.silver") == (taxi, taxi.stages["silver"])


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda: get_pipeline("nyc"), r"There is no pipeline 'nyc'\. Next: choose one of nyc_taxi"),
        (
            lambda: get_stage("nyc_taxi.gold"),
            r"has no stage 'gold'\. Next: choose one of the jobs nyc_taxi\.bronze, nyc_taxi\.silver",
        ),
        (lambda: get_stage("bronze"), "There is no pipeline 'bronze'"),
    ],
)
def test_unknown_names_are_reported_with_the_choices(look, message):
    with pytest.raises(DeclarationError, match=message):
        look()


def test_an_invalid_pipeline_is_reported_with_its_error(declare, include, monkeypatch):
    declare(rides=rides(owner="me"))
    monkeypatch.setattr(load.declarations, "__defaults__", (include,))
    with pytest.raises(DeclarationError, match=r"include/pipelines/rides\.yaml: owner: unknown key"):
        get_pipeline("rides")
