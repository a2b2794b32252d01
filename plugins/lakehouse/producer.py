"""Sends events to a Kafka topic and accounts for each of them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.registry import Registry, RegistryError

if TYPE_CHECKING:
    from lakehouse.pipelines.model import Pipeline

#: The header with the id of an event's contract in the registry, in decimal digits.
SCHEMA_HEADER = "schema.id"
#: Seconds to wait for a broker before anything is sent.
BROKER_LIMIT_S = 15.0
#: Number of events between two polls for delivery reports.
_REPORTS_EVERY = 1_000

# The caller's configuration must not weaken these: the producer neither loses nor duplicates an event.
_GUARANTEES = {"enable.idempotence": True, "acks": "all"}
_DEFAULTS = {
    "compression.type": "lz4",
    "linger.ms": 10,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 100_000,
    "delivery.timeout.ms": 60_000,
    "partitioner": "murmur2_random",  # as Java clients do: a key has the same partition with every client
}


class ProducerError(Exception):
    """Events cannot be sent; the message says what to do next."""


class TopicProducer:
    """An idempotent producer that counts every delivery report.

    :param config: librdkafka's configuration, as in the extra of Airflow's Kafka connection
    :param schema_id: the registry's id of the contract, sent in a header of each event; None: no header
    """

    def __init__(self, config: Mapping[str, Any], topic: str, schema_id: int | None):
        from confluent_kafka import KafkaException, Producer

        self.topic = topic
        self.handed_over = self.delivered = self.failed = 0
        #: Why the first failed event failed.
        self.first_error: str | None = None
        self._headers = [(SCHEMA_HEADER, str(schema_id).encode())] if schema_id is not None else []
        self._config = {**_DEFAULTS, **config, **_GUARANTEES}
        self._broker_error: str | None = None
        try:
            self._producer = Producer(
                {**self._config, "error_cb": self._note_broker_error},
                logger=_librdkafka_logger(),
            )
        except KafkaException as error:
            problem = f"Kafka's client rejects its configuration: {error.args[0].str()}."
            raise ProducerError(f"{problem} Next: correct the connection.") from error

    @property
    def servers(self) -> str:
        """The bootstrap servers, for messages."""
        return self._config.get("bootstrap.servers", "(no bootstrap.servers)")

    def check(self, limit: float = BROKER_LIMIT_S) -> None:
        """Check that a broker answers and has the topic, before anything is sent.

        :param limit: seconds
        :raises ProducerError: no broker answers within the limit, or the topic does not exist
        """
        from confluent_kafka import KafkaException

        try:
            # All topics: asking for a single one would create it if the broker creates topics automatically.
            topics = self._producer.list_topics(timeout=limit).topics
        except KafkaException as error:
            self._producer.poll(0)
            raise ProducerError(
                f"Kafka at {self.servers} does not answer within {limit:g} s: "
                f"{self._broker_error or error.args[0].str()}. Next: start it, or correct the address."
            ) from error
        if self.topic not in topics:
            raise ProducerError(
                f"Kafka at {self.servers} has no topic {self.topic}. Next: create it (run the DAG flink_jobs)."
            )

    def send(
        self,
        keys: Iterable[bytes | None],
        values: Iterable[bytes | None],
        going: Callable[[], bool] = lambda: True,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """Hand events over to the client until one has failed or `going` returns False; return the number handed over.

        :param going: called every thousand events, and while the client's queue is full
        :param headers: in addition to that of the contract
        """
        from confluent_kafka import KafkaException

        produce, topic, report = self._producer.produce, self.topic, self._report
        every_header: list[tuple[str, str | bytes | None]] = [*self._headers, *headers]
        sent = 0
        try:
            for key, value in zip(keys, values, strict=True):
                while True:
                    try:
                        produce(topic, value, key, headers=every_header, on_delivery=report)
                        break
                    except BufferError:
                        self._producer.poll(0.1)
                        if self.failed or not going():
                            return sent
                sent += 1
                if sent % _REPORTS_EVERY == 0:
                    self._producer.poll(0)
                    if self.failed or not going():
                        return sent
        except KafkaException as error:  # not accepted: the event is too large, or the producer has a fatal error
            sent += 1
            self._fail(error.args[0].str())
        finally:
            self.handed_over += sent
        return sent

    def wait(self, seconds: float) -> None:
        """Process delivery reports for at most this long."""
        self._producer.poll(seconds)

    def finish(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until each event was delivered or has failed; an event without a delivery report in time has failed."""
        limit = int(self._config["delivery.timeout.ms"]) / 1000 + 5
        end = time.monotonic() + limit
        while self._producer.flush(0.5) and time.monotonic() < end:
            meanwhile()
        unknown = self.handed_over - self.delivered - self.failed
        if unknown:
            self._fail(f"no delivery report within {limit:g} s", unknown)

    def _report(self, error: Any, _message: Any) -> None:
        if error is None:
            self.delivered += 1
        else:
            self._fail(error.str())

    def _fail(self, why: str, events: int = 1) -> None:
        self.failed += events
        if self.first_error is None:
            self.first_error = f"{why} ({self._broker_error})" if self._broker_error else why

    def _note_broker_error(self, error: Any) -> None:
        # The first error names the cause; "all brokers are down" follows.
        self._broker_error = self._broker_error or error.str()


class _Once(logging.Filter):
    """Lets each message pass once: while a broker is down, librdkafka repeats its message at every attempt."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in self._logged
        self._logged.add(text)
        return new


def _librdkafka_logger() -> logging.Logger:
    """A separate logger for each producer, so that one producer's messages do not suppress another's."""
    logger = logging.Logger(f"{__name__}.librdkafka")  # noqa: LOG001
    logger.parent = logging.getLogger(__name__)
    logger.addFilter(_Once())
    return logger


def schema_id(registry: str, subject: str, ca_file: str | None = None) -> int:
    """The id of the subject's latest schema.

    :param registry: base URL of a Confluent-compatible API; may contain a login
    :param ca_file: CA certificates (PEM) to verify the registry's with, instead of those of this machine
    :raises ProducerError: the registry does not know the subject, or does not answer
    """
    try:
        return Registry(registry, ca_file=ca_file).latest_id(subject)
    except RegistryError as error:
        raise ProducerError(str(error)) from error


def pipeline_producer(pipeline: Pipeline) -> TopicProducer:
    """A producer for the pipeline's topic, with Airflow's connections; broker and registry have been checked.

    :raises AirflowException: one of them does not answer, or does not know the pipeline's topic
    """
    from airflow.sdk.exceptions import AirflowException

    from lakehouse.airflow.connections import get_connection
    from lakehouse.airflow.hooks.registry import SchemaRegistryHook

    contract = SchemaRegistryHook().latest_id(pipeline.topic.subject)
    try:
        producer = TopicProducer(get_connection("kafka_default").extra_dejson, pipeline.topic.name, contract)
        producer.check()
    except ProducerError as error:
        raise AirflowException(str(error)) from error
    return producer


def key_of(payload: bytes | None, field: str | None) -> bytes | None:
    """The key of an event: the text of this field, as it stands in the event. None if there is no field or no value."""
    try:
        value = json.loads(payload or b"", parse_int=str, parse_float=str, parse_constant=str)[field]
        return key_text(value)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def key_text(value: Any) -> bytes | None:
    """A field's value as a key: a string as it is, anything else as JSON.

    :raises ValueError: a string that cannot be encoded in UTF-8
    """
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))).encode()
