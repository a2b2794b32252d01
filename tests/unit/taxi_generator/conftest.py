"""Kafka in the test's own process: librdkafka's own broker for tests, on a TCP port."""

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


@pytest.fixture
def connect(load_settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Every connection and variable of the settings file, leading nowhere; call it to change fields of one connection."""
    for name, value in load_settings(LAKEHOUSE_HOME=tmp_path).environment().items():
        monkeypatch.setenv(name, value)

    def connect(conn_id: str, **fields: Any) -> None:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        monkeypatch.setenv(name, json.dumps(json.loads(os.environ[name]) | fields))

    return connect
