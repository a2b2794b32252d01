"""Creates a pipeline's topic, but only once: a new topic of the same name would have other events at the tables' offsets."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.model import Pipeline


def ensure_topic(pipeline: Pipeline) -> str:
    """Create the topic if it is missing, with its declared settings; return what was found and done, as text.

    :raises AirflowFailException: the topic is missing, but tables have rows of it
    :raises AirflowException: Kafka or the catalog is unavailable, or the topic has too few partitions
    """
    topic, iceberg = TopicHook(pipeline.topic.name), IcebergCatalogHook()
    if not topic.exists():
        tables = [name for stage in pipeline.stages.values() if stage.reads_topic for name in stage.tables]
        if rows := iceberg.rows(*filter(iceberg.exists, tables)):
            raise AirflowFailException(
                f"Kafka topic {topic.topic} is gone, but {', '.join(tables)} have {rows:,} rows of it. A new topic would have "
                "other events at the same offsets. Options: restore the topic; or create it with Kafka's own tools and rebuild "
                "the tables from its events with the DAG replay"
            )
    return topic.ensure(pipeline.topic.partitions, pipeline.topic.retention_ms)
