"""What is known of a stage's rows at some commits of its tables, kept in one file beside the state of its job."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk.exceptions import AirflowException
from pydantic import BaseModel, Field, ValidationError

from lakehouse.airflow import variables
from lakehouse.pipelines.model import Stage
from lakehouse.reconciliation.positions import Positions, PositionsField
from lakehouse.storage import stored, write

#: Arrivals in a source table are dated for so long: a row may be called overdue after less than that.
DATED_FOR_S = 3_600


class Cursor(BaseModel):
    """Up to which commit a table is known.

    :param uuid: the table's, by which one that was replaced is recognised
    :param snapshot_id: None: no commit yet
    """

    uuid: str
    snapshot_id: int | None


class State(BaseModel):
    """The difference between a stage's source and its sinks.

    :param tables: table -> what is known of it; the sinks, and the source when that is a table
    :param topic_id: Kafka's id of the topic
    :param starts: of a topic: Kafka partition -> first offset that counts; 0 where it is missing
    :param ends: of a topic: Kafka partition -> offset after the last one that is known
    :param oldest: of a topic: Kafka partition -> first offset that Kafka still holds
    :param reached: Kafka partition -> offset after the highest one in a sink
    :param rows: table -> Kafka partition -> rows
    :param missing: positions of the source that are in no sink
    :param surplus: positions in the sinks that the source does not have, or that are there twice
    :param no_event: offsets of the topic that hold no event, as Kafka itself says: markers of transactions, for example
    :param lost: events that Kafka deleted before they were read, as somebody has acknowledged
    :param erased: events whose rows a person had erased, and up to which entry of the log of erasures that is known
    :param dated: when rows came into a source table (epoch ms), for the last hour
    """

    tables: dict[str, Cursor] = Field(default_factory=dict)
    topic_id: str | None = None
    starts: dict[int, int] = Field(default_factory=dict)
    ends: dict[int, int] = Field(default_factory=dict)
    oldest: dict[int, int] = Field(default_factory=dict)
    reached: dict[int, int] = Field(default_factory=dict)
    rows: dict[str, dict[int, int]] = Field(default_factory=dict)
    missing: PositionsField = Positions()
    surplus: PositionsField = Positions()
    no_event: PositionsField = Positions()
    lost: PositionsField = Positions()
    erased: PositionsField = Positions()
    erasures: int | None = None
    dated: list[tuple[int, PositionsField]] = Field(default_factory=list)

    def of_topic(self) -> State:
        """What is known of the topic alone: each of its events is missing."""
        missing = Positions.ranges(self.starts, self.ends) - self.no_event - self.lost - self.erased
        kept = self.model_dump(
            include={"topic_id", "starts", "ends", "oldest", "no_event", "lost", "erased", "erasures"}
        )
        return State(**kept, missing=missing)

    def renamed(self, names: Mapping[str, str]) -> State:
        """The same after tables have changed their names: old -> new."""
        tables = {names.get(name, name): known for name, known in self.tables.items()}
        rows = {names.get(name, name): counts for name, counts in self.rows.items()}
        return self.model_copy(update={"tables": tables, "rows": rows})

    def expect(self, positions: Positions) -> None:
        """The source gained rows, or a sink lost some."""
        self.missing |= positions - self.surplus - self.erased
        self.surplus -= positions

    def arrive(self, positions: Positions) -> None:
        """A sink gained rows, or the source lost some."""
        self.surplus |= positions - self.missing - self.lost
        self.missing -= positions
        self.lost -= positions

    def count(self, table: str, rows: Mapping[int, int], sign: int) -> None:
        """Add rows of each Kafka partition to those of a table (sign 1), or take them away (-1)."""
        counts = self.rows.setdefault(table, {})
        for partition, number in rows.items():
            counts[partition] = counts.get(partition, 0) + sign * number

    def reach(self, ends: Mapping[int, int]) -> None:
        """A sink has rows up to these offsets, by Kafka partition."""
        self.reached |= {partition: max(end, self.reached.get(partition, 0)) for partition, end in ends.items()}


def load(stage: Stage) -> State | None:
    """What was saved of a stage; None when nothing was.

    :raises AirflowException: the file is there but cannot be understood
    """
    path = stored(_address(stage))
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, ValueError) as error:
        raise AirflowException(
            f"What is known of the rows of {stage.job}, at {path}, is damaged. Next: delete the file; it is made again from the "
            "tables."
        ) from error


def save(stage: Stage, state: State) -> None:
    """Keep it. Of two at once either may win: each is right about the commits that it names."""
    write(_address(stage), state.model_dump_json())


def forget(stage: Stage) -> None:
    """Remove what was saved of a stage that there is no longer."""
    stored(_address(stage)).unlink(missing_ok=True)


def _address(stage: Stage) -> str:
    return f"{variables.text('flink_state_dir')}/reconciliation/{stage.job}.json"
