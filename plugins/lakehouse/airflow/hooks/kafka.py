"""A pipeline's topic: its configuration and its offsets, through the connection of Airflow's Kafka provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.apache.kafka.hooks.client import KafkaAdminClientHook
from airflow.sdk.exceptions import AirflowException
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from lakehouse.airflow.connections import hide
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, OffsetSpec, TopicMetadata

REQUEST_TIMEOUT_S = 20
# The broker's clock: with a producer's, which may be wrong by days, events could be deleted unread, or lag be hidden.
TOPIC_CONFIG = {"message.timestamp.type": "LogAppendTime"}


class TopicHook(KafkaAdminClientHook):
    """Administration of one topic.

    :param topic: the topic's name
    """

    def __init__(self, topic: str, kafka_conn_id: str = "kafka_default") -> None:
        super().__init__(kafka_config_id=kafka_conn_id)
        self.topic = topic

    def _get_client(self, config: dict[str, Any]) -> AdminClient:
        """The provider's client without librdkafka's notices, which go to stderr when a client closes."""
        from confluent_kafka.admin import AdminClient

        hide(config)
        return AdminClient({"log_level": 4, **config})

    def ensure(self, partitions: int, retention_ms: int) -> str:
        """Create the topic if it is missing; give an existing one the declared retention and timestamp type.

        :param partitions: minimum number of partitions
        :return: what was found and done, as text
        :raises AirflowException: Kafka does not answer or rejects the request, or the topic has fewer partitions
        """
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic

        wanted = TOPIC_CONFIG | {"retention.ms": str(retention_ms)}
        topic = NewTopic(self.topic, num_partitions=partitions, config=wanted)
        try:
            self.get_conn.create_topics([topic], request_timeout=REQUEST_TIMEOUT_S)[self.topic].result()
            return f"created topic {self.topic} with {partitions} partitions"
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise AirflowException(f"Kafka topic {self.topic} cannot be created: {error.args[0].str()}") from error
        found = len(self._partitions())
        if found < partitions:
            raise AirflowException(
                f"Kafka topic {self.topic} has {found} partitions, fewer than the {partitions} that are declared. Next: declare "
                f"{found} (topic.partitions), or add partitions to the topic with Kafka's own tools."
            )
        changed = self._configure(wanted)
        return f"topic {self.topic} exists with {found} partitions; changed: {changed or 'nothing'}"

    def _configure(self, wanted: dict[str, str]) -> str:
        """Correct the topic's settings; return the changes as text."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

        resource = ConfigResource(ResourceType.TOPIC, self.topic)
        try:
            [described] = self.get_conn.describe_configs([resource], request_timeout=REQUEST_TIMEOUT_S).values()
            held = {name: entry.value for name, entry in described.result().items()}
            different = {name: value for name, value in wanted.items() if held.get(name) != value}
            if different:
                entries = [
                    ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                    for name, value in different.items()
                ]
                change = ConfigResource(ResourceType.TOPIC, self.topic, incremental_configs=entries)
                [altered] = self.get_conn.incremental_alter_configs(
                    [change], request_timeout=REQUEST_TIMEOUT_S
                ).values()
                altered.result()
        except KafkaException as error:
            raise AirflowException(
                f"Kafka topic {self.topic} must have {', '.join(map('='.join, wanted.items()))}, which cannot be set: "
                f"{error.args[0].str()}. Next: set it with Kafka's own tools, or allow the user of the connection "
                f"{self.kafka_config_id!r} to describe and alter the topic's configuration."
            ) from error
        return ", ".join(f"{name} {held.get(name)} -> {value}" for name, value in different.items())

    def exists(self) -> bool:
        """Whether the topic exists."""
        return bool(self._metadata().partitions)

    def topic_id(self) -> str:
        """Kafka's id of the topic, which changes when the topic is deleted and created again.

        :raises AirflowException: the topic does not exist
        :raises ServiceUnavailable: Kafka does not answer
        """
        from confluent_kafka import KafkaError, KafkaException, TopicCollection

        try:
            answer = self.get_conn.describe_topics(TopicCollection([self.topic]), request_timeout=REQUEST_TIMEOUT_S)
            return str(answer[self.topic].result().topic_id)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise self._unavailable(error, f"does not describe topic {self.topic}") from error
            raise self._missing(error.args[0]) from error

    def is_unused(self) -> bool:
        """Whether no event was ever sent: all offsets are 0, or the topic does not exist yet.

        :raises ServiceUnavailable: Kafka does not answer
        """
        return not self._metadata().partitions or not any(self.end_offsets().values())

    def end_offsets(self) -> dict[int, int]:
        """Partition -> offset after the last event."""
        from confluent_kafka.admin import OffsetSpec

        return self._offsets(OffsetSpec.latest())

    def start_offsets(self) -> dict[int, int]:
        """Partition -> offset of the oldest retained event (the end offset if there is none)."""
        from confluent_kafka.admin import OffsetSpec

        return self._offsets(OffsetSpec.earliest())

    def offsets_at(self, epoch_ms: int) -> dict[int, int]:
        """Partition -> offset of the first event at or after this time (the end offset if there is none)."""
        from confluent_kafka.admin import OffsetSpec

        ends = self.end_offsets()
        found = self._offsets(OffsetSpec.for_timestamp(epoch_ms))
        return {partition: ends[partition] if offset < 0 else offset for partition, offset in found.items()}

    def _offsets(self, spec: OffsetSpec) -> dict[int, int]:
        from confluent_kafka import KafkaException, TopicPartition

        request = {TopicPartition(self.topic, partition): spec for partition in self._partitions()}
        try:
            answers = self.get_conn.list_offsets(request, request_timeout=REQUEST_TIMEOUT_S)
            return {key.partition: answer.result().offset for key, answer in answers.items()}
        except KafkaException as error:
            raise self._unavailable(error, f"does not return the offsets of topic {self.topic}") from error

    def _partitions(self) -> list[int]:
        topic = self._metadata()
        if topic.error:
            raise self._missing(topic.error)
        return sorted(topic.partitions)

    def _metadata(self) -> TopicMetadata:
        from confluent_kafka import KafkaException

        try:
            return self.get_conn.list_topics(self.topic, timeout=REQUEST_TIMEOUT_S).topics[self.topic]
        except KafkaException as error:
            raise self._unavailable(error, "does not answer") from error

    def committed_offsets(self, group: str) -> dict[int, int]:
        """Partition -> committed offset of a consumer group, 0 where it has committed none yet."""
        from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(self.topic, p) for p in self._partitions()])

        @retry(retry=retry_if_exception(_is_loading), stop=stop_after_delay(30), wait=wait_fixed(0.5), reraise=True)
        def ask() -> ConsumerGroupTopicPartitions:
            [answer] = self.get_conn.list_consumer_group_offsets([wanted], request_timeout=REQUEST_TIMEOUT_S).values()
            return answer.result()

        try:
            offsets = ask().topic_partitions or []
            return {found.partition: max(0, found.offset) for found in offsets}
        except KafkaException as error:
            raise self._unavailable(error, f"does not return the offsets of consumer group {group}") from error

    def _missing(self, error: KafkaError) -> AirflowException:
        return AirflowException(
            f"Kafka topic {self.topic}: {error.str()}. Next: run the DAG flink_jobs, which creates the topic."
        )

    def _unavailable(self, error: KafkaException, what: str) -> ServiceUnavailable:
        return ServiceUnavailable.of("Kafka", self.kafka_config_id, error.args[0].str(), what)


def _is_loading(error: BaseException) -> bool:
    """Whether the broker is still loading its group coordinator, as after a start or for the very first group."""
    from confluent_kafka import KafkaError, KafkaException

    codes = (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR)
    return isinstance(error, KafkaException) and error.args[0].code() in codes
