"""Kafka in the test's own process (librdkafka's own broker for tests, on a TCP port), and TLC's real file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from lakehouse.generator.runner import TOPIC

_REAL_FILE = "yellow_tripdata_2024-01_first_10000.csv"


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


@pytest.fixture(scope="session")
def real_file() -> Path:
    root = Path(__file__).parents[3]
    path = Path(os.environ.get("LAKEHOUSE_TLC_FILE", root.parent / "shared" / "data" / _REAL_FILE))
    if not path.is_file():
        pytest.skip(f"TLC's file is not at {path}: set LAKEHOUSE_TLC_FILE to the first 10,000 rows of January 2024")
    return path
