"""A pipeline as `include/pipelines/<name>.yaml` declares it.

One rule holds for every stage: each row of its source ends in exactly one of its sinks. The ledger, health, alerts, replay
and the audit all follow from it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from lakehouse.pipelines.contract import Contract

#: A stage's source when it reads the pipeline's topic.
TOPIC = "topic"
#: What reports call the layer that dbt builds; no stage may have this name.
GOLD = "gold"
ACCEPTED, REJECTED, DUPLICATE = "accepted", "rejected", "duplicate"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
TableName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$")]


def duration(text: Any) -> Any:
    """`7d`, `10m`, `30s` or `2h` as a timedelta; anything else as it is, for pydantic to judge."""
    found = re.fullmatch(r"(\d+) ?([smhd])", text) if isinstance(text, str) else None
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else text


Duration = Annotated[timedelta, BeforeValidator(duration)]


class Declared(BaseModel):
    """Part of a declaration: nothing but the keys that are known, and nothing that changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Topic(Declared):
    """The Kafka topic that events arrive in.

    :param partitions: at least so many
    :param retention: how long Kafka keeps an event
    :param key: field whose text is the key of a message that the platform sends; None: no key
    :param contract: file in `include/contracts/`
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    partitions: int = Field(3, ge=1, le=10_000)
    retention: Duration = timedelta(days=7)
    key: str | None = None
    contract: str

    @property
    def subject(self) -> str:
        """Subject of the contract in the schema registry."""
        return f"{self.name}-value"

    @property
    def retention_ms(self) -> int:
        return int(self.retention.total_seconds() * 1000)


class Stage(Declared):
    """One streaming job: rows of a source, each into exactly one of its sinks.

    :param pipeline: name of its pipeline
    :param name: its own name within the pipeline
    :param sql: file in `include/sql/` that creates its tables and holds its statement set
    :param source: `topic`, or a table that a stage before it writes
    :param sinks: role -> Iceberg table (`namespace.table`); roles are accepted, rejected, duplicate or the stage's own
    :param audit: file in `include/sql/` with the stage's rules written a second time; without one, the audit checks what holds
        for every stage
    :param renamed_from: name that its Flink job had before; its state is taken over
    """

    pipeline: Name
    name: Name
    sql: str
    source: str
    sinks: dict[Name, TableName] = Field(min_length=1)
    audit: str | None = None
    renamed_from: str | None = None

    @property
    def job(self) -> str:
        """Name of its Flink job."""
        return f"{self.pipeline}.{self.name}"

    @property
    def tables(self) -> tuple[str, ...]:
        """Its sinks' tables, in the order of their declaration."""
        return tuple(self.sinks.values())

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces that its tables live in."""
        return tuple(dict.fromkeys(table.partition(".")[0] for table in self.tables))

    @property
    def reads_topic(self) -> bool:
        return self.source == TOPIC

    @property
    def consumer_group(self) -> str:
        """Kafka consumer group of its first source; those of the others have the role after it."""
        return f"lakehouse-{self.job}"

    @property
    def topic_tables(self) -> dict[str, str]:
        """Of a stage that reads the topic: Flink table over the topic -> sink that keeps the position of each of its rows.

        Each sink has a source of its own, so that each can start where its own rows end.
        """
        return {f"topic_{role}": table for role, table in self.sinks.items()} if self.reads_topic else {}


class Gold(Declared):
    """What dbt builds of a pipeline.

    :param fact: model that holds each row of `source` once
    :param source: table that dbt reads
    :param every: time between two builds
    :param audit: file in `include/sql/` that compares the fact with its source, value by value; without one, the columns
        that both have are compared
    """

    fact: Name
    source: TableName
    every: Duration = timedelta(minutes=10)
    audit: str | None = None


class Pipeline(Declared):
    """A stream of events with its tables.

    :param name: name of the declaration's file
    :param enabled: false stops its jobs with a savepoint and takes its DAG away; its tables stay
    :param params: values that its SQL takes as `params.<name>`; see `lakehouse.pipelines.params`
    :param stages: by name, each after those that it reads from
    :param sort_orders: table -> columns that a closed partition is sorted by when maintenance rewrites it
    """

    name: Name
    title: str
    enabled: bool = True
    topic: Topic
    params: dict[Name, str | int | float] = Field(default_factory=dict)
    stages: dict[Name, Stage] = Field(min_length=1)
    gold: Gold | None = None
    sort_orders: dict[TableName, str] = Field(default_factory=dict)
    contract: Contract = Field(repr=False)

    @model_validator(mode="before")
    @classmethod
    def _name_stages(cls, declared: Any) -> Any:
        """Tell each stage its name and its pipeline, which the file does not repeat."""
        if not isinstance(declared, dict) or not isinstance(declared.get("stages"), dict):
            return declared
        stages = declared["stages"]
        for name, stage in stages.items():
            if isinstance(stage, dict) and (repeated := {"name", "pipeline"} & stage.keys()):
                raise ValueError(f"stages.{name}.{min(repeated)} is given by the key and the file: leave it out")
        named = {
            name: {**stage, "name": name, "pipeline": declared.get("name")} if isinstance(stage, dict) else stage
            for name, stage in stages.items()
        }
        return {**declared, "stages": named}

    @model_validator(mode="after")
    def _hangs_together(self) -> Pipeline:
        written: dict[str, str] = {}
        if GOLD in self.stages:
            raise ValueError(f"stages.{GOLD}: the name stands for what dbt builds. Next: choose another name")
        for stage in self.stages.values():
            if not stage.reads_topic and stage.source not in written:
                choices = ", ".join([TOPIC, *written])
                raise ValueError(
                    f"stages.{stage.name}.source: no stage before it writes {stage.source!r}. Next: give one of {choices}"
                )
            for role, table in stage.sinks.items():
                if other := written.get(table):
                    raise ValueError(
                        f"stages.{stage.name}.sinks.{role}: {table} is also written by {other}. Next: give it a table of its own"
                    )
                written[table] = f"stages.{stage.name}"
        if self.gold and self.gold.source not in written:
            raise ValueError(
                f"gold.source: no stage writes {self.gold.source!r}. Next: give one of {', '.join(written)}"
            )
        if unknown := sorted(self.sort_orders.keys() - written.keys()):
            raise ValueError(f"sort_orders: no stage writes {unknown[0]!r}. Next: give one of {', '.join(written)}")
        if self.topic.key is not None and self.topic.key not in self.contract.names:
            raise ValueError(
                f"topic.key: the contract has no field {self.topic.key!r}. Next: give one of {', '.join(self.contract.names)}"
            )
        return self

    @property
    def dag_id(self) -> str:
        """The DAG that builds its Gold."""
        return f"{self.name}_pipeline"

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Every table that its stages write, in the order of their declaration."""
        return tuple(table for stage in self.stages.values() for table in stage.tables)

    def readers(self, stage: Stage) -> tuple[Stage, ...]:
        """The stages that read a table of this one."""
        return tuple(other for other in self.stages.values() if other.source in stage.tables)

    def writer(self, table: str) -> Stage:
        """The stage that writes a table."""
        return next(stage for stage in self.stages.values() if table in stage.tables)
