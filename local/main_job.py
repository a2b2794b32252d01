"""The main job on a running platform, each step by its DAG: trips go in, and every layer is counted against what is due."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from local import airflow
from local.airflow_api import ENDED, AirflowApi
from local.config import ROOT, Platform, PlatformError
from local.progress import Progress

if TYPE_CHECKING:
    from lakehouse.quality.ledger import Ledger

POLL_S = 0.25
PARSE_LIMIT_S = 120
DEPLOY_LIMIT_S = 300
SEND_LIMIT_S = 3600
ARRIVE_LIMIT_S = 300
GOLD_LIMIT_S = 900
DAGS = ("flink_jobs", "taxi_trip_generator", "nyc_taxi_pipeline")
MARTS = ("mart_daily_revenue", "mart_hourly_demand")

T = TypeVar("T")


@dataclass(frozen=True)
class Trips:
    """Which trips are sent: the parameters of `taxi_trip_generator`."""

    events: int | None = None
    seed: int = 1
    source: str | None = None


@dataclass
class Outcome:
    """What came of it.

    :param phases_s: seconds; `produce`, `bronze`, `silver`, `end_to_end` (published) count from the first event, `gold`
        from the trigger of the pipeline
    :param rows: by place, as found
    :param expected: by place, as worked out from the trips, without the pipeline
    """

    phases_s: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    ledger_balanced: bool = False

    @property
    def right(self) -> bool:
        """Every count is as expected, and the ledger accounts for every event."""
        return self.ledger_balanced and self.rows == self.expected


class MainJob:
    """Runs it, and says how far it is. This process must see the platform's connections and variables."""

    def __init__(self, api: AirflowApi, progress: Progress) -> None:
        from airflow.sdk import Variable

        self.api = api
        self.progress = progress

        self.topic = Variable.get("taxi_topic")
        self.window = [datetime.fromisoformat(Variable.get(name)) for name in ("pickup_from", "pickup_to")]

    @classmethod
    def of(cls, platform: Platform, progress: Progress) -> Self:
        """The main job of an embedded platform, which this process sees from now on."""
        see_the_platform(platform)
        return cls(AirflowApi.of(platform), progress)

    def deploy(self) -> str:
        """See the Flink jobs running: by the run of `flink_jobs` that is under way, or by one of ours. Returns its id."""
        self.wait(lambda: self.api.is_known(*DAGS), "Airflow to read the DAGs", PARSE_LIMIT_S)
        run = self.api.active_run("flink_jobs") or self.api.trigger("flink_jobs", {})
        self._finish("flink_jobs", run, DEPLOY_LIMIT_S)
        self.progress.done("flink_jobs: Bronze and Silver are running")
        return run

    def run(self, trips: Trips) -> Outcome:
        """Send the trips, build Gold when Silver is complete, and count."""
        before = self.wait(self.ledger_at_rest, "earlier trips to arrive", ARRIVE_LIMIT_S)
        expected = self._expect(trips, before)
        first_event_at, phases_s = self.send(trips)
        published_at, phases_s["gold"] = self.build()
        phases_s["end_to_end"] = published_at - first_event_at
        rows, balanced = self.count()
        return Outcome({name: round(seconds, 1) for name, seconds in phases_s.items()}, rows, expected, balanced)

    def send(self, trips: Trips) -> tuple[float, dict[str, float]]:
        """Send the trips, and see them through Bronze and Silver.

        :return: when the first one was sent (epoch seconds), and the seconds from then on of each phase
        """
        run = self.api.trigger("taxi_trip_generator", asdict(trips))
        self._finish("taxi_trip_generator", run, SEND_LIMIT_S)
        sent = self.api.returned("taxi_trip_generator", run, "generate")
        first_event_at = sent["first_event_at_ms"] / 1000
        self.progress.done(f"taxi_trip_generator: {sent['delivered']:,} trips are in Kafka")
        self.wait(lambda: self.ledger().bronze_in_flight == 0, "Bronze to be complete", ARRIVE_LIMIT_S)
        bronze_at = _last_commit("bronze.raw_trips")
        self.progress.done("Flink: Bronze is complete")
        self.wait(lambda: self.ledger().silver_in_flight == 0, "Silver to be complete", ARRIVE_LIMIT_S)
        silver_at = _last_commit("silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips")
        self.progress.done("Flink: Silver is complete")
        phases_s = {
            "produce": sent["elapsed_s"],
            "bronze": bronze_at - first_event_at,
            "silver": silver_at - first_event_at,
        }
        return first_event_at, phases_s

    def build(self) -> tuple[float, float]:
        """Build Gold; when it was published (epoch seconds), and how long after the trigger."""
        triggered_at = time.time()
        run = self.api.trigger("nyc_taxi_pipeline", {})
        published_at = self.wait(lambda: self._published_at(run), "nyc_taxi_pipeline to publish Gold", GOLD_LIMIT_S)
        self.progress.done("nyc_taxi_pipeline: Gold is published")
        self._finish("nyc_taxi_pipeline", run, GOLD_LIMIT_S)
        return published_at, published_at - triggered_at

    def count(self) -> tuple[dict[str, int], bool]:
        """Rows by place as they are now, and whether the ledger balances."""
        import duckdb

        from lakehouse.gold.file import published_file

        with duckdb.connect(str(published_file()), read_only=True) as gold:
            marts = {name: gold.table(name).count("*").fetchone()[0] for name in ("fct_trips", *MARTS)}
        ledger = self.ledger(marts["fct_trips"])
        places = ("kafka", "bronze", "rejected_events", "silver", "rejected_trips")
        return {**{place: getattr(ledger, place) for place in places}, **marts}, ledger.balanced

    def ledger(self, fct_trips: int | None = None) -> "Ledger":
        """The row ledger as it is now."""
        from lakehouse.quality.ledger import read_ledger

        return read_ledger(self.topic, fct_trips)

    def ledger_at_rest(self) -> "Ledger | None":
        """The row ledger when no row is in flight, else None.

        :raises PlatformError: rows are doubled
        """
        ledger = self.ledger()
        if ledger.errors:
            raise PlatformError(f"the ledger does not add up:\n{ledger}")
        return ledger if ledger.balanced else None

    def at_rest(self, dag_id: str, limit_s: float) -> None:
        """Wait until no run of the DAG waits or is at work."""
        self.wait(lambda: self.api.active_run(dag_id) is None, f"{dag_id} to be at rest", limit_s)

    def wait(self, probe: Callable[[], T], what: str, limit_s: float) -> T:
        """Call `probe` until it returns something true, and return that; show what is awaited."""
        deadline = time.monotonic() + limit_s
        while not (found := probe()):
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"waited {limit_s:g} s for {what}. What is wrong: make status, make logs, make ledger"
                )
            self.progress.waiting(f"waiting for {what}")
            time.sleep(POLL_S)
        return found

    def _expect(self, trips: Trips, before: "Ledger") -> dict[str, int]:
        """Rows that are due by place: those that are there, and what the generator's own rules make of the trips."""
        import duckdb

        import taxi_generator as generator
        from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

        with tempfile.TemporaryDirectory() as folder:
            keys = Path(folder) / "keys.parquet"
            judged = generator.judge(keys, **asdict(trips), pickup_from=self.window[0], pickup_to=self.window[1])
            held = (
                IcebergCatalogHook()
                .table("silver.cleaned_trips")
                .scan(selected_fields=("trip_id", "pickup_date", "pickup_hour"))
            )
            connection = duckdb.connect()
            connection.register("held", held.to_arrow())
            silver, dates, hours = connection.execute(
                "SELECT count(DISTINCT trip_id), count(DISTINCT pickup_date), count(DISTINCT (pickup_date, pickup_hour))"
                " FROM (FROM held UNION ALL FROM read_parquet(?))",
                [str(keys)],
            ).fetchone()
        return {
            "kafka": before.kafka + judged["events"],
            "bronze": before.bronze + judged["bronze"],
            "rejected_events": before.rejected_events,
            "silver": silver,
            "rejected_trips": before.rejected_trips + judged["rejected_trips"],
            "fct_trips": silver,
            **dict(zip(MARTS, (dates, hours), strict=True)),
        }

    def _published_at(self, run: str) -> float | None:
        self._refuse_failure("nyc_taxi_pipeline", run)
        task = self.api.tasks("nyc_taxi_pipeline", run)["publish"]
        if task["state"] == "skipped":
            reasons = self.api.returned("nyc_taxi_pipeline", run, "check_flink_health", key="reasons")
            raise PlatformError(
                f"nyc_taxi_pipeline holds Gold back: {'; '.join(reasons)}. When `make health` is content: again"
            )
        return task["end_date"].timestamp() if task["state"] == "success" else None

    def _finish(self, dag_id: str, run: str, limit_s: float) -> None:
        self.wait(lambda: self.api.state(dag_id, run) in ENDED, f"{dag_id} to end", limit_s)
        self._refuse_failure(dag_id, run)

    def _refuse_failure(self, dag_id: str, run: str) -> None:
        if self.api.state(dag_id, run) == "failed":
            raise PlatformError(self.api.describe_failure(dag_id, run))


def _last_commit(*tables: str) -> float:
    """Epoch seconds of the newest commit to any of the tables."""
    from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

    iceberg = IcebergCatalogHook()
    snapshots = [iceberg.table(name).current_snapshot() for name in tables]
    return max(snapshot.timestamp_ms for snapshot in snapshots if snapshot) / 1000


def see_the_platform(platform: Platform) -> None:
    """Let this process read what the platform's tasks read: connections, variables, the package `lakehouse`."""
    os.environ.update(airflow.environment(platform))
    sys.path.insert(0, str(ROOT / "plugins"))
    from lakehouse.airflow import settings as airflow_settings

    airflow_settings.see()
