"""The stored state of a stage's reconciliation: one file, next to the state of its job."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk.exceptions import AirflowException
from pydantic import BaseModel, Field, ValidationError

from lakehouse.airflow import variables
from lakehouse.pipelines.model import Stage
from lakehouse.reconciliation.positions import Positions, PositionsField
from lakehouse.storage import stored, write

#: How long arrival times in a source table are kept; the threshold for overdue rows must be lower.
DATED_FOR_S = 3_600


class Cursor(BaseModel):
    """The commit up to which a table was read.

    :param uuid: of the table, to notice when it was replaced
    :param snapshot_id: None: no commit yet
    """

    uuid: str
    snapshot_id: int | None


class State(BaseModel):
    """The difference between a stage's source and its sinks.

    :param tables: the commits up to which the sinks, and a source table, were read
    :param topic_id: Kafka's id of the topic
    :param starts: for a topic: Kafka partition -> first offset that counts; default 0
    :param ends: for a topic: Kafka partition -> offset after the last known one
    :param oldest: for a topic: Kafka partition -> oldest offset that Kafka retains
    :param reached: Kafka partition -> offset after the highest one in a sink
    :param rows: table -> Kafka partition -> number of rows
    :param missing: positions of the source that are not in any sink
    :param surplus: positions in the sinks that the source does not have, or that are there more than once
    :param no_event: offsets of the topic without an event, such as transaction markers
    :param lost: events that Kafka deleted before they were read, and that a person has acknowledged as lost
    :param erased: events whose rows were erased on request
    :param erasures: version of the log of erasures that `erased` was read from
    :param dated: arrival time (epoch ms) and positions of rows in a source table, for the last hour
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
        """The state of the topic alone, with all of its events missing."""
        missing = Positions.ranges(self.starts, self.ends) - self.no_event - self.lost - self.erased
        kept = self.model_dump(
            include={"topic_id", "starts", "ends", "oldest", "no_event", "lost", "erased", "erasures"}
        )
        return State(**kept, missing=missing)

    def renamed(self, names: Mapping[str, str]) -> State:
        """The same state after tables were renamed: old -> new."""
        tables = {names.get(name, name): known for name, known in self.tables.items()}
        rows = {names.get(name, name): counts for name, counts in self.rows.items()}
        return self.model_copy(update={"tables": tables, "rows": rows})

    def expect(self, positions: Positions) -> None:
        """Rows were added to the source, or removed from a sink."""
        self.missing |= positions - self.surplus - self.erased
        self.surplus -= positions

    def arrive(self, positions: Positions) -> None:
        """Rows were added to a sink, or removed from the source."""
        self.surplus |= positions - self.missing - self.lost
        self.missing -= positions
        self.lost -= positions

    def count(self, table: str, rows: Mapping[int, int], sign: int) -> None:
        """Add (sign 1) or subtract (-1) a table's rows by Kafka partition."""
        counts = self.rows.setdefault(table, {})
        for partition, number in rows.items():
            counts[partition] = counts.get(partition, 0) + sign * number

    def reach(self, ends: Mapping[int, int]) -> None:
        """A sink has rows up to these ends, by Kafka partition."""
        self.reached |= {partition: max(end, self.reached.get(partition, 0)) for partition, end in ends.items()}


def load(stage: Stage) -> State | None:
    """The stored state of a stage; None if there is none.

    :raises AirflowException: the file is damaged
    """
    path = stored(_address(stage))
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, ValueError) as error:
        raise AirflowException(
            f"The reconciliation state of {stage.job} at {path} is damaged. Next: delete the file; it is created again from the "
            "tables."
        ) from error


def save(stage: Stage, state: State) -> None:
    """Store the state. Of two at once either may win: each is consistent with the commits that it names."""
    write(_address(stage), state.model_dump_json())


def forget(stage: Stage) -> None:
    """Delete the state of a stage that no longer exists."""
    stored(_address(stage)).unlink(missing_ok=True)


def _address(stage: Stage) -> str:
    return f"{variables.text('flink_state_dir')}/reconciliation/{stage.job}.json"
