"""How many rows a stage's source holds, and how many of them have arrived in its sinks. No row is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, rows_of
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.load import enabled_pipelines
from lakehouse.pipelines.model import Pipeline, Stage


@dataclass(frozen=True)
class Flow:
    """The rows that a stage moves."""

    pipeline: Pipeline
    stage: Stage

    @property
    def job(self) -> str:
        return self.stage.job

    @cached_property
    def topic(self) -> TopicHook:
        return TopicHook(self.pipeline.topic.name)

    def source_rows(self) -> int:
        """Rows that the source holds now."""
        if self.stage.reads_topic:
            return sum(self.topic.end_offsets().values())
        return IcebergCatalogHook().rows(self.stage.source)

    def source_rows_at(self, epoch_ms: int) -> int:
        """Rows that the source held at that moment."""
        if self.stage.reads_topic:
            return sum(self.topic.offsets_at(epoch_ms).values())
        return rows_of(IcebergCatalogHook().table(self.stage.source).snapshot_as_of_timestamp(epoch_ms))

    def pending(self) -> int:
        """Rows of the source that are in none of the sinks yet."""
        arrived = IcebergCatalogHook().rows(*self.stage.tables)
        return max(0, self.source_rows() - arrived)

    def partition_lag(self) -> dict[int, int]:
        """Kafka partition -> events after the last completed checkpoint; empty when the source is a table.

        Seen from the job's consumer group, to which Flink commits its offsets with each completed checkpoint: one request at
        constant cost, it says the same to every Kafka tool, and it stands while Flink is down. The rows of each partition in
        the tables would have to be read from all of their manifests.
        """
        if not self.stage.reads_topic:
            return {}
        read = self.topic.committed_offsets(self.stage.consumer_group)
        return {partition: max(0, end - read[partition]) for partition, end in self.topic.end_offsets().items()}


def flows_of(pipeline: Pipeline) -> tuple[Flow, ...]:
    """One for each stage of a pipeline."""
    return tuple(Flow(pipeline, stage) for stage in pipeline.stages.values())


def enabled_flows() -> tuple[Flow, ...]:
    """One for each stage of each pipeline that runs."""
    return tuple(flow for pipeline in enabled_pipelines() for flow in flows_of(pipeline))
