"""What the checks of a pipeline cost when its tables have a long history: `python -m demo.bench.history`.

Its five tables have 10,000 snapshots and 30,000 data files each, in a catalog of their own; Kafka and Flink are played. Measured
is CPU time, that of all threads, without the start of Python and what it imports: of a check in a process that knows nothing of
the tables, and of the next one there, with six commits to each table in between, as a minute brings them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from demo.bench.commits import SinkCommits
from demo.main_job import PIPELINE
from local.config import ROOT

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from lakehouse.pipelines.model import Pipeline

ROUNDS = 3
COMMITS, COMMITS_A_CHECK = 10_000, 6
AFTER = f"after {COMMITS_A_CHECK} commits"
PARTITIONS, ROWS_PER_FILE, VALUES = 3, 50, 17
#: Of the first offsets of each file, one is in each of these tables instead.
REJECTS = ("bronze.rejected_events", "silver.rejected_trips", "silver.duplicate_trips")
KINDS = {".metadata.json": "metadata files read", ".avro": "manifests and their lists read"}


class Lake:
    """The tables of a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        """One file of each partition of the topic, in each table."""
        from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

        self.pipeline = pipeline
        self._catalog: SqlCatalog = IcebergCatalogHook().catalog  # type: ignore[assignment]
        self._writers: dict[str, SinkCommits] = {}
        self.end = ROWS_PER_FILE  # of each partition of the topic, the offset after its last event
        for name in pipeline.tables:
            self._catalog.create_namespace_if_not_exists(name.split(".")[0])
            table = self._catalog.create_table(name, _schema())
            for partition in range(PARTITIONS):
                table.append(_rows(name, 0, [partition]))

    def age(self) -> None:
        """Let every table have had its commits, and those who know the rows of today have seen all of these."""
        from lakehouse.reconciliation import state as states

        for name in self.pipeline.tables:
            self._writers[name] = SinkCommits(self._catalog.load_table(name))
            self._put(name, self._writers[name].abridge(COMMITS))
        for stage in self.pipeline.stages.values():
            if known := states.load(stage):
                for name, cursor in known.tables.items():
                    cursor.snapshot_id = self._catalog.load_table(name).metadata.current_snapshot_id
                states.save(stage, known)

    def commit(self, merge: bool = False) -> None:
        """What a minute brings.

        :param merge: the last of the commits merges the manifests of the whole table, as every hundredth does
        """
        for name, writer in self._writers.items():
            together = [[*range(PARTITIONS)]] if name in REJECTS else [[number] for number in range(PARTITIONS)]
            starts = [self.end + number * ROWS_PER_FILE for number in range(COMMITS_A_CHECK)]
            rows = [[_rows(name, start, partitions) for partitions in together] for start in starts]
            self._put(
                name, writer.append(*([_file(writer.table, of) for of in commit] for commit in rows), merge=merge)
            )
        self.end += COMMITS_A_CHECK * ROWS_PER_FILE

    def _put(self, name: str, location: str) -> None:
        """Let the catalog lead to another metadata file."""
        from pyiceberg.catalog.sql import IcebergTables
        from sqlalchemy import update

        from lakehouse.airflow.hooks.iceberg import is_table

        where = is_table(self._catalog, tuple(name.split(".")))
        with self._catalog.engine.begin() as connection:
            connection.execute(update(IcebergTables).where(*where).values(metadata_location=location))

    def publish(self) -> None:
        """Let Gold have been built from what is there."""
        from lakehouse.gold.file import published_file
        from lakehouse.gold.pin import SourceVersion
        from lakehouse.gold.swap import publish
        from lakehouse.pipelines.load import gold_of

        published = published_file(self.pipeline)
        work = published.parent / "run" / published.name
        work.parent.mkdir(parents=True)
        work.touch()
        publish(work, published, SourceVersion.of(self._catalog.load_table(gold_of(self.pipeline).source)), "models")


def _schema() -> pa.Schema:
    import pyarrow as pa

    position = [pa.field("kafka_partition", pa.int32()), pa.field("kafka_offset", pa.int64())]
    return pa.schema([*position, *(pa.field(f"value_{number}", pa.float64()) for number in range(VALUES))])


def _rows(table: str, start: int, partitions: Sequence[int]) -> pa.Table:
    """What a table gets of the next events of these partitions."""
    import pyarrow as pa

    own = {REJECTS.index(table)} if table in REJECTS else set(range(ROWS_PER_FILE)) - set(_rejected(table))
    at = [(partition, start + offset) for partition in partitions for offset in sorted(own)]
    columns = [[partition for partition, _ in at], [offset for _, offset in at]]
    return pa.table([*columns, *([[float(offset) for _, offset in at]] * VALUES)], schema=_schema())


def _rejected(table: str) -> range:
    """Which rows of a block are in other tables: of those that Silver reads, Bronze's are not."""
    return range(1) if table.startswith("bronze.") else range(len(REJECTS))


def _file(table: Table, rows: pa.Table) -> DataFile:
    from pyiceberg.io.pyarrow import _dataframe_to_data_files

    [file] = _dataframe_to_data_files(table.metadata, rows, table.io)
    return file


def measure() -> dict[str, list[float]]:
    """Every figure by its name, of each round.

    :raises RuntimeError: the ledger is not balanced: no figure counts
    """
    from lakehouse.airflow.hooks import iceberg
    from lakehouse.alerting.evaluate import evaluate
    from lakehouse.alerting.metrics import PlatformCollector
    from lakehouse.pipelines.load import get_pipeline
    from lakehouse.quality.ledger import read_ledger
    from lakehouse.streaming.flow import flows_of
    from lakehouse.streaming.health import health_of

    pipeline = get_pipeline(PIPELINE)
    checks: dict[str, Callable[[], object]] = {
        "health": lambda: health_of(flows_of(pipeline)),
        "ledger": lambda: read_ledger(pipeline),
        "alerts": lambda: evaluate(pipeline),
        "metrics": lambda: [*PlatformCollector().collect()],
    }
    one_by_one = [*checks.values()]
    checks["all four"] = lambda: [check() for check in one_by_one]
    figures: dict[str, list[float]] = {}

    def note(what: str, check: Callable[[], object]) -> None:
        for figure, value in _costs(check).items():
            figures.setdefault(f"{what}: {figure}", []).append(value)
            print(f"{what}: {figure}: {value:,.1f}", file=sys.stderr, flush=True)

    lake = Lake(pipeline)
    with _played(lake):
        checks["all four"]()  # what is imported, and the first look
        lake.age()
        lake.publish()
        for _ in range(ROUNDS):
            for name, check in checks.items():
                iceberg._lazy_tables.clear()
                note(f"{name}, cold", check)
                lake.commit()
                note(f"{name}, {AFTER}", check)
            lake.commit(merge=True)
            note(f"{name}, {AFTER}, the last of which merges manifests", check)
        if not read_ledger(pipeline).balanced:
            raise RuntimeError(f"the ledger is not balanced, so no figure counts:\n{read_ledger(pipeline)}")
    return figures


def _costs(check: Callable[[], object]) -> dict[str, float]:
    from pyiceberg.io.pyarrow import PyArrowFile

    read: Counter[str] = Counter(dict.fromkeys(KINDS.values(), 0))
    open_file = PyArrowFile.open

    def counted(file: PyArrowFile, seekable: bool = True) -> Any:
        read.update(kind for suffix, kind in KINDS.items() if file.location.endswith(suffix))
        return open_file(file, seekable)

    with patch.object(PyArrowFile, "open", counted):
        began = time.process_time()
        check()
        return {"ms": 1_000 * (time.process_time() - began), **read}


@contextmanager
def _played(lake: Lake) -> Iterator[None]:
    """A topic whose events are all in the tables, a Flink whose jobs are well, and no alert that is known."""
    from lakehouse.airflow.hooks.flink import FlinkRestHook
    from lakehouse.airflow.hooks.kafka import TopicHook
    from lakehouse.alerting import evaluate

    def offsets(end: Callable[[], int]) -> Callable[..., dict[int, int]]:
        return lambda *_: {partition: end() for partition in range(PARTITIONS)}

    jobs = [
        {"jid": str(number), "name": stage.job, "state": "RUNNING", "start-time": 0}
        for number, stage in enumerate(lake.pipeline.stages.values())
    ]

    def answer(_: FlinkRestHook, method: str, path: str, body: object = None) -> Any:
        match path.split("?")[0].split("/"):
            case ["jobs", "overview"]:
                return {"jobs": jobs}
            case ["jobs", _, "checkpoints"]:
                now_ms = time.time() * 1_000
                completed = {"id": 1, "latest_ack_timestamp": now_ms, "end_to_end_duration": 500}
                return {"latest": {"completed": completed}, "history": []}
            case ["jobs", _, "exceptions"]:
                return {"exceptionHistory": {"entries": []}}
            case ["jobs", _]:
                return {"vertices": []}
        raise ValueError(f"{method} {path} is not played")

    topic = {
        "topic_id": lambda _: "topic",
        "start_offsets": offsets(lambda: 0),
        "end_offsets": offsets(lambda: lake.end),
        "offsets_at": offsets(lambda: lake.end),
    }
    with ExitStack() as stack:
        for name, played in topic.items():
            stack.enter_context(patch.object(TopicHook, name, played))
        stack.enter_context(patch.object(FlinkRestHook, "call", answer))
        stack.enter_context(patch.object(evaluate, "AlertStore", dict))
        yield


class _Anything(dict[str, str]):
    """A value for every placeholder of `airflow_settings.yaml`, as a text and as a port."""

    def __missing__(self, name: str) -> str:
        return "1"


def _settle(folder: Path) -> None:
    """Let this process find a catalog and state of its own, and no service."""
    os.environ |= {"AIRFLOW_HOME": str(folder), "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL"}
    sys.path.insert(0, str(ROOT / "plugins"))
    from lakehouse.airflow import settings

    placeholders = _Anything(LAKEHOUSE_HOME=str(folder), FLINK_STATE_DIR=f"file://{folder}/flink", ALERTS_URL="")
    os.environ |= settings.load(environment=placeholders).environment()
    catalog = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}
    os.environ["AIRFLOW_CONN_ICEBERG_CATALOG"] = json.dumps({"conn_type": "generic", "extra": catalog})


def main() -> None:
    """Print every figure, of each round, as JSON; each to stderr when it is measured."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        _settle(Path(folder))
        figures = measure()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
