"""Kafka in the test's process: librdkafka's mock broker, on a TCP port."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from taxi_generator import pipeline

TOPIC = pipeline.topic()


class Kafka:
    """A broker with the topic, which can be stopped."""

    def __init__(self) -> None:
        self._broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none"})
        broker = next(iter(self._broker.list_topics(TOPIC, timeout=10).brokers.values()))
        self.servers = f"{broker.host}:{broker.port}"

    def stop(self) -> None:
        self._broker = None

    def has_messages(self) -> bool:
        """Whether a message has arrived in the topic; False once the broker is stopped."""
        if self._broker is None:
            return False
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "tests"})
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        ends = [
            consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=10)[1] for partition in partitions
        ]
        consumer.close()
        return any(ends)

    def messages(self, count: int) -> list:
        """The first `count` messages of the topic, in the order of their partitions."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "tests"})
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in partitions])
        found: list = []
        while len(found) < count:
            some = consumer.consume(count - len(found), timeout=10)
            assert some, f"{len(found)} of {count} messages arrived"
            found += some
        consumer.close()
        return found


@pytest.fixture
def kafka() -> Iterator[Kafka]:
    broker = Kafka()
    yield broker
    broker.stop()


@pytest.fixture
def connect(load_settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """All connections and variables of the settings file, without services; call it to change fields of one connection."""
    for name, value in load_settings(LAKEHOUSE_HOME=tmp_path).environment().items():
        monkeypatch.setenv(name, value)

    def connect(conn_id: str, **fields: Any) -> None:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        monkeypatch.setenv(name, json.dumps(json.loads(os.environ[name]) | fields))

    return connect
