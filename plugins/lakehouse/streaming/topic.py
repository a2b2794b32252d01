"""A pipeline's topic: made once. Another one under its name has other events at the offsets that the tables know."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.model import Pipeline


def ensure_topic(pipeline: Pipeline) -> str:
    """Create the topic where it is missing, with its declared settings; what was found and done, as text.

    :raises AirflowFailException: it is missing, and tables hold rows of it
    :raises AirflowException: Kafka or the catalog does not answer, or the topic has too few partitions
    """
    topic, iceberg = TopicHook(pipeline.topic.name), IcebergCatalogHook()
    if not topic.exists():
        tables = [name for stage in pipeline.stages.values() if stage.reads_topic for name in stage.tables]
        if rows := iceberg.rows(*filter(iceberg.exists, tables)):
            raise AirflowFailException(
                f"Kafka topic {topic.topic} is gone, and {', '.join(tables)} hold {rows:,} rows of it. A new one would have "
                "other events at the same offsets. Options: restore the topic; or create it with Kafka's own tools and rebuild "
                "the tables from what it holds then, with the DAG replay"
            )
    return topic.ensure(pipeline.topic.partitions, pipeline.topic.retention_ms)
