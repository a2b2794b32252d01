"""Kafka in the test's own process: librdkafka's own broker for tests, on a TCP port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from taxi_generator.runner import TOPIC


class Kafka:
    """A broker with the topic, which can be taken away."""

    def __init__(self) -> None:
        self._broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none"})
        broker = next(iter(self._broker.list_topics(TOPIC, timeout=10).brokers.values()))
        self.servers = f"{broker.host}:{broker.port}"

    def stop(self) -> None:
        self._broker = None

    def messages(self, count: int) -> list:
        """The first `count` messages of the topic, in the order of their partitions."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "tests"})
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in partitions])
        found: list = []
        while len(found) < count:
            some = consumer.consume(count - len(found), timeout=10)
            assert some, f"{len(found)} of {count} messages came"
            found += some
        consumer.close()
        return found


@pytest.fixture
def kafka() -> Iterator[Kafka]:
    broker = Kafka()
    yield broker
    broker.stop()
