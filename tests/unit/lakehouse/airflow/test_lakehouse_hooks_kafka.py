"""The topic's offsets, and errors that say what to do."""

from concurrent.futures import Future

import pytest
from airflow.sdk.exceptions import AirflowException
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from lakehouse.airflow.hooks import kafka
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.streaming.health import nothing_to_judge


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
def refuses_once(monkeypatch):
    """Have the broker answer the first question about a group with an error; the list of questions."""

    def refuses_once(code: int) -> list:
        answer, asked = AdminClient.list_consumer_group_offsets, []

        def list_consumer_group_offsets(client, groups, **options):
            asked.append(groups)
            if len(asked) > 1:
                return answer(client, groups, **options)
            refused = Future()
            refused.set_exception(KafkaException(KafkaError(code)))
            return {"lakehouse-bronze": refused}

        monkeypatch.setattr(AdminClient, "list_consumer_group_offsets", list_consumer_group_offsets)
        return asked

    return refuses_once


def test_a_broker_that_is_about_to_know_its_groups_is_asked_again(send, refuses_once):
    send("trips", 1)
    asked = refuses_once(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    assert set(TopicHook("trips").committed_offsets("lakehouse-bronze").values()) == {0}
    assert len(asked) == 2


def test_a_broker_that_says_no_is_asked_once(send, refuses_once):
    send("trips", 1)
    asked = refuses_once(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(AirflowException, match="Offsets of Kafka consumer group lakehouse-bronze cannot be read"):
        TopicHook("trips").committed_offsets("lakehouse-bronze")
    assert len(asked) == 1


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
