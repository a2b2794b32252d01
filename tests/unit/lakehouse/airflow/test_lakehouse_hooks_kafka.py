"""A topic's settings and offsets, and errors that say what to do."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from lakehouse.airflow.hooks import kafka
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable
from lakehouse.streaming.health import is_unused


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


def test_a_broker_that_is_loading_its_groups_is_asked_again(send, refuses_once):
    send("trips", 1)
    asked = refuses_once(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    assert set(TopicHook("trips").committed_offsets("lakehouse-bronze").values()) == {0}
    assert len(asked) == 2


def test_a_broker_that_refuses_is_asked_once(send, refuses_once):
    send("trips", 1)
    asked = refuses_once(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(
        ServiceUnavailable, match=r"Kafka .*does not return the offsets of consumer group lakehouse-bronze: "
    ):
        TopicHook("trips").committed_offsets("lakehouse-bronze")
    assert len(asked) == 1


#: Captured before a fixture replaces it, because librdkafka's mock broker has no topic ids.
TOPIC_ID = TopicHook.topic_id


@pytest.fixture
def no_broker(monkeypatch) -> TopicHook:
    """The broker of the test settings, which is down, with a short timeout."""
    monkeypatch.setattr(kafka, "REQUEST_TIMEOUT_S", 0.2)
    return TopicHook("trips")


def test_a_broker_that_is_down_is_named(no_broker):
    with pytest.raises(
        ServiceUnavailable, match=r"Kafka \(connection 'kafka_default'\) does not answer: .*make status"
    ):
        no_broker.end_offsets()
    with pytest.raises(
        ServiceUnavailable,
        match=r"Kafka .*does not describe topic trips: .*Next: `make status` shows each service",
    ):
        TOPIC_ID(no_broker)
    with pytest.raises(AirflowException, match="Kafka topic trips cannot be created: "):
        no_broker.ensure(3, 1_000)


def test_a_pipeline_whose_broker_is_down_is_not_unused(no_broker, taxi):
    assert not is_unused(taxi)


class Admin:
    """A broker with one topic: just what `ensure` needs."""

    def __init__(self, partitions: int, settings: dict[str, str], refuses: bool = False) -> None:
        self.partitions, self.settings, self.refuses = partitions, settings, refuses
        self.changes: list[dict[str, str]] = []

    def create_topics(self, topics, **_):
        return {topic.topic: done(KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS))) for topic in topics}

    def list_topics(self, name, **_):
        return SimpleNamespace(
            topics={name: SimpleNamespace(error=None, partitions=dict.fromkeys(range(self.partitions)))}
        )

    def describe_configs(self, resources, **_):
        return {resources[0]: done({name: SimpleNamespace(value=value) for name, value in self.settings.items()})}

    def incremental_alter_configs(self, resources, **_):
        if self.refuses:
            return {resources[0]: done(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))}
        self.changes.append({entry.name: entry.value for entry in resources[0].incremental_configs})
        return {resources[0]: done(None)}


def done(result: object) -> Future:
    future = Future()
    (future.set_exception if isinstance(result, Exception) else future.set_result)(result)
    return future


AS_DECLARED = {"message.timestamp.type": "LogAppendTime", "retention.ms": "1000"}


@pytest.fixture
def ensure(monkeypatch):
    """Ensure a topic of 3 partitions that exists already, at this broker."""

    def ensure(admin: Admin) -> str:
        monkeypatch.setattr(TopicHook, "get_conn", admin)
        return TopicHook("trips").ensure(3, 1_000)

    return ensure


@pytest.mark.parametrize("partitions", [3, 12])
def test_a_topic_with_enough_partitions_is_accepted(ensure, partitions):
    admin = Admin(partitions, AS_DECLARED)
    assert ensure(admin) == f"topic trips exists with {partitions} partitions; changed: nothing"
    assert admin.changes == []


def test_a_topic_with_fewer_is_rejected(ensure):
    with pytest.raises(AirflowException, match=r"trips has 2 partitions, fewer than the 3 .*Next: declare 2"):
        ensure(Admin(2, AS_DECLARED))


def test_other_retention_and_timestamps_are_altered(ensure):
    admin = Admin(3, {"message.timestamp.type": "CreateTime", "retention.ms": "60000"})
    assert "message.timestamp.type CreateTime -> LogAppendTime, retention.ms 60000 -> 1000" in ensure(admin)
    assert admin.changes == [AS_DECLARED]


def test_settings_that_cannot_be_altered_are_reported_with_the_reason(ensure):
    admin = Admin(3, AS_DECLARED | {"retention.ms": "60000"}, refuses=True)
    with pytest.raises(
        AirflowException, match=r"trips must have .*retention\.ms=1000, which cannot be set: .*Next: set it"
    ):
        ensure(admin)
