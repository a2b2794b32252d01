"""The topic's offsets, and errors that say what to do."""

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.health import nothing_to_judge
from lakehouse.hooks import kafka
from lakehouse.hooks.kafka import TopicHook


def test_offsets(send):
    send("trips", 5)
    ends = TopicHook("trips").end_offsets()
    assert sum(ends.values()) == 5
    assert TopicHook("trips").offsets_at(0).keys() == ends.keys()


def test_a_topic_is_unused_until_its_first_event(send):
    assert TopicHook("trips").is_unused()
    send("trips", 1)
    assert not TopicHook("trips").is_unused()


@pytest.fixture
def no_broker(monkeypatch) -> TopicHook:
    """What the settings of the tests lead to, asked with little patience."""
    monkeypatch.setattr(kafka, "REQUEST_TIMEOUT_S", 0.2)
    return TopicHook("trips")


def test_a_broker_that_is_not_there_is_named(no_broker):
    with pytest.raises(AirflowException, match=r"Kafka \(connection 'kafka_default'\) does not answer: .*make status"):
        no_broker.end_offsets()
    with pytest.raises(AirflowException, match="Kafka topic trips cannot be created: "):
        no_broker.ensure(3, 1_000)


def test_a_broker_that_is_not_there_is_something_to_judge(no_broker):
    assert not nothing_to_judge()
