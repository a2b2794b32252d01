"""Reads the events of a topic again, outside of any consumer group that counts, in batches of bounded size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from airflow.providers.apache.kafka.hooks.base import KafkaBaseHook
from airflow.sdk.exceptions import AirflowException

from lakehouse.quality.audit.event_fields import event_fields

if TYPE_CHECKING:
    import pyarrow as pa
    from confluent_kafka import Consumer, Message

#: Offsets are never committed to it, but Kafka asks for the right to it.
GROUP = "lakehouse-audit"
BATCH_EVENTS = 20_000
BATCH_BYTES = 32_000_000
PAUSE_S = 0.5
SILENCE_LIMIT_S = 60


class TopicReader:
    """Reads a topic by partition and offset.

    :param topic: the topic's name
    :param names: the fields of an event
    """

    def __init__(self, topic: str, names: Sequence[str], kafka_conn_id: str = "kafka_default") -> None:
        from confluent_kafka import Consumer

        self.topic = topic
        self.names = names
        connection = KafkaBaseHook.get_connection(kafka_conn_id)
        self._consumer: Consumer = Consumer(
            {
                "log_level": 4,
                **connection.extra_dejson,
                "group.id": GROUP,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": BATCH_BYTES // 1000,
            }
        )

    def close(self) -> None:
        self._consumer.close()

    def batches(self, partition: int, first: int, end: int) -> Iterator[pa.Table]:
        """The events from offset `first` up to `end`, as `table_of` shows them; offsets without an event are no error.

        :raises AirflowException: Kafka fails, deletes what was to be read, or sends nothing for a minute
        """
        from confluent_kafka import TopicPartition

        if first >= end:
            return
        self._consumer.assign([TopicPartition(self.topic, partition, first)])
        batch: list[tuple[int, bytes | None]] = []
        size, position = 0, first
        heard_at = time.monotonic()
        while position < end:
            # It waits until it has as many, or for the whole pause: no more than there are.
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
                yield table_of(partition, batch, self.names)
                batch, size = [], 0
        self._consumer.unassign()

    def _position(self, message: Message) -> int:
        """The offset to read next."""
        from confluent_kafka import KafkaError

        error, offset = message.error(), cast(int, message.offset())  # only one that is to be sent has none
        if error is None:
            return offset + 1
        if error.code() == KafkaError._PARTITION_EOF:
            return offset
        raise AirflowException(
            f"Partition {message.partition()} of {self.topic} cannot be read at offset {offset}: {error.str()}. "
            "Next: start the audit again, if Kafka's retention has just deleted it"
        )


def table_of(partition: int, events: list[tuple[int, bytes | None]], names: Sequence[str]) -> pa.Table:
    """Events as rows: partition, offset, `is_event` (whether it is one JSON object), `payload`, and each field's text."""
    import pyarrow as pa

    fields = [event_fields(payload, names) for _, payload in events]
    nothing = [None] * len(names)
    texts = zip(*(nothing if row is None else row for row in fields), strict=True)
    columns: list[Sequence[str | None]] = list(texts) or [[] for _ in names]
    return pa.table(
        {
            "kafka_partition": pa.array([partition] * len(events), pa.int32()),
            "kafka_offset": pa.array([offset for offset, _ in events], pa.int64()),
            "is_event": pa.array([row is not None for row in fields], pa.bool_()),
            "payload": pa.array([payload for _, payload in events], pa.binary()),
            **{name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)},
        }
    )
