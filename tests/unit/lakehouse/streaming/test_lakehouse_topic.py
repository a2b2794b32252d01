"""A lost topic is not recreated while tables have rows of it."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.streaming.topic import ensure_topic


@pytest.fixture
def kafka(monkeypatch) -> dict[str, bool]:
    """Topic name -> whether it exists."""
    topics: dict[str, bool] = {}
    monkeypatch.setattr(TopicHook, "exists", lambda hook: topics.get(hook.topic, False))
    monkeypatch.setattr(
        TopicHook, "ensure", lambda hook, *_: topics.update({hook.topic: True}) or f"created {hook.topic}"
    )
    return topics


def test_a_new_pipeline_gets_its_topic(kafka, taxi, iceberg):
    assert ensure_topic(taxi) == f"created {taxi.topic.name}"


def test_a_topic_is_recreated_while_its_tables_are_empty(kafka, taxi, fill):
    fill("bronze.raw_trips", 0)
    ensure_topic(taxi)
    assert kafka == {taxi.topic.name: True}


def test_a_topic_is_not_recreated_while_tables_have_its_rows(kafka, taxi, fill):
    fill("bronze.rejected_events", 3)
    message = (
        r"taxi\.raw_trips is gone, but bronze\.raw_trips, bronze\.rejected_events have 3 rows of it.*Options: restore"
    )
    with pytest.raises(AirflowFailException, match=message):
        ensure_topic(taxi)
    assert kafka == {}


def test_an_existing_topic_is_configured_as_declared(kafka, taxi, fill):
    fill("bronze.raw_trips", 3)
    kafka[taxi.topic.name] = True
    assert ensure_topic(taxi) == f"created {taxi.topic.name}"
