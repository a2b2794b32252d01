"""The events of a topic as rows, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lakehouse.airflow.hooks.topic_reader import Batch, TopicReader
from lakehouse.quality.audit.event_fields import EventFields

if TYPE_CHECKING:
    import pyarrow as pa


class EventReader(TopicReader):
    """Reads the events of a topic as rows.

    :param topic: name of the topic
    :param names: fields of an event
    """

    def __init__(self, topic: str, names: Sequence[str]) -> None:
        super().__init__(topic)
        self._fields = EventFields(names)

    def tables(self, partition: int, first: int, end: int) -> Iterator[pa.Table]:
        """Like `batches`, each as a table of `table_of`."""
        for batch in self.batches(partition, first, end):
            yield table_of(partition, batch, self._fields)


def table_of(partition: int, events: Batch, fields: EventFields) -> pa.Table:
    """Events as rows: partition, offset, `is_event` (whether it is a JSON object), `payload`, and the text of each field."""
    import pyarrow as pa

    payloads = [payload for _, payload in events]
    is_event, columns = fields.columns(payloads)
    return pa.table(
        {
            "kafka_partition": pa.array([partition] * len(events), pa.int32()),
            "kafka_offset": pa.array([offset for offset, _ in events], pa.int64()),
            "is_event": is_event,
            "payload": pa.array(payloads, pa.binary()),
            **dict(zip(fields.names, columns, strict=True)),
        }
    )
