"""Reads the events of a topic in batches of bounded size, without committing offsets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.connections import get_connection

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

#: Offsets are never committed to this group, but Kafka authorizes consumers by it.
GROUP = "lakehouse-audit"
BATCH_EVENTS = 20_000
BATCH_BYTES = 32_000_000
PAUSE_S = 0.5
SILENCE_LIMIT_S = 60

#: Offset and payload of each event.
Batch = list[tuple[int, bytes | None]]


class TopicReader:
    """Reads a topic by partition and offset; of transactions, only the committed events.

    :param topic: the topic's name
    """

    def __init__(self, topic: str, kafka_conn_id: str = "kafka_default") -> None:
        from confluent_kafka import Consumer

        self.topic = topic
        self._consumer: Consumer = Consumer(
            {
                "log_level": 4,
                **get_connection(kafka_conn_id).extra_dejson,
                "group.id": GROUP,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": BATCH_BYTES // 1000,
            }
        )

    def close(self) -> None:
        self._consumer.close()

    def batches(self, partition: int, first: int, end: int) -> Iterator[Batch]:
        """The events from offset `first` up to, but not including, `end`; offsets without an event are skipped.

        :raises AirflowException: Kafka fails, deletes events before they are read, or sends nothing for a minute
        """
        from confluent_kafka import TopicPartition

        if first >= end:
            return
        self._consumer.assign([TopicPartition(self.topic, partition, first)])
        batch: Batch = []
        size, position = 0, first
        heard_at = time.monotonic()
        while position < end:
            # `consume` waits for as many messages as it is asked for, or the whole timeout: ask for no more than there are.
            messages = self._consumer.consume(min(BATCH_EVENTS // 10, end - position), timeout=PAUSE_S)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_LIMIT_S:
                raise AirflowException(
                    f"Kafka sent nothing for {SILENCE_LIMIT_S} s at offset {position} of partition {partition} of "
                    f"{self.topic}, which has events up to {end}. Next: see whether Kafka is healthy (`make status`)"
                )
            for message in messages:
                position = self._position(message)
                if not message.error() and position <= end:
                    batch.append((position - 1, message.value()))
                    size += len(message.value() or b"")
            if len(batch) >= BATCH_EVENTS or size >= BATCH_BYTES or position >= end:
                yield batch
                batch, size = [], 0
        self._consumer.unassign()

    def _position(self, message: Message) -> int:
        """The offset to read next."""
        from confluent_kafka import KafkaError

        error, offset = message.error(), cast(int, message.offset())  # only a message to be produced has none
        if error is None:
            return offset + 1
        if error.code() == KafkaError._PARTITION_EOF:
            return offset
        raise AirflowException(
            f"Partition {message.partition()} of {self.topic} cannot be read at offset {offset}: {error.str()}. "
            "Next: if Kafka's retention has just deleted it, start again"
        )
