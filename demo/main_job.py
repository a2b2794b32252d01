"""Runs the main job on a running platform by its DAGs: sends trips, and counts the rows of all layers."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from local.airflow_api import ENDED, AirflowApi
from local.config import PlatformError
from local.progress import Progress

if TYPE_CHECKING:
    from lakehouse.quality.ledger import Ledger

POLL_S = 0.25
# For a laptop whose cores are busy.
PARSE_LIMIT_S = 600
DEPLOY_LIMIT_S = 1800
SEND_LIMIT_S = 3600
ARRIVE_LIMIT_S = 1800
GOLD_LIMIT_S = 1800
PIPELINE = "nyc_taxi"
JOBS_DAG, GENERATOR_DAG, GOLD_DAG = "flink_jobs", "taxi_trip_generator", "nyc_taxi_pipeline"
#: Name in the outcome -> table.
TABLES = {
    "bronze": "bronze.raw_trips",
    "rejected_events": "bronze.rejected_events",
    "silver": "silver.cleaned_trips",
    "rejected_trips": "silver.rejected_trips",
    "counted_trips": "live.counted_trips",
    "late_trips": "live.late_trips",
}
ZONES_SHOWN, HOURS_SHOWN = 5, 24
MARTS = ("mart_daily_revenue", "mart_hourly_demand")

T = TypeVar("T")


@dataclass(frozen=True)
class Trips:
    """The trips to send: params of `taxi_trip_generator`."""

    events: int | None = None
    seed: int = 1
    source: str | None = None


@dataclass(frozen=True)
class LiveView:
    """The live windows of event time.

    :param closed: trips in closed windows
    :param open: trips in open windows
    :param closed_until: end of the last closed window
    :param zones: of the busiest zones in the day until then: zone, borough, trips, revenue in dollars, mean speed in mph
    """

    closed: int
    open: int
    closed_until: str
    zones: list[tuple[str, str, int, float, float]]


@dataclass
class Outcome:
    """The result of the main job.

    :param phases_s: seconds; `produce`, `bronze`, `silver`, `end_to_end` (published) count from the first event, `gold`
        from the trigger of the pipeline
    :param rows: actual rows by place
    :param expected: expected rows by place, computed from the trips without the pipeline
    :param sent: number of trips
    :param rejects: actual number of rejected trips by reason
    :param expected_rejects: expected number of rejected trips by reason
    :param window: start and exclusive end of the pickups that Silver accepts
    :param live: trips in windows of event time, and the busiest zones of the last day that is closed
    """

    phases_s: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    ledger_balanced: bool = False
    sent: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    expected_rejects: dict[str, int] = field(default_factory=dict)
    window: tuple[str, str] = ("", "")
    live: LiveView | None = None

    @property
    def right(self) -> bool:
        """Every count with an expectation is as expected, and the ledger accounts for every event."""
        rows = {place: self.rows.get(place) for place in self.expected}
        return self.ledger_balanced and rows == self.expected and self.rejects == self.expected_rejects

    @property
    def rejected(self) -> int:
        """Number of rejected trips."""
        return sum(self.rejects.values())

    @property
    def mostly_rejected(self) -> bool:
        """Whether more than half of the trips were rejected: then correct counts are not a success."""
        return self.rejected * 2 > self.sent


class MainJob:
    """Runs the main job with progress. This process needs the platform's connections and variables.

    :param up_since: when the platform was started (epoch seconds)
    """

    def __init__(self, api: AirflowApi, progress: Progress, up_since: float = 0) -> None:
        from lakehouse.pipelines.load import get_pipeline

        self.api = api
        self.progress = progress
        self.up_since = up_since
        self.pipeline = get_pipeline(PIPELINE)

    @property
    def topic(self) -> str:
        """The topic of the trips."""
        return self.pipeline.topic.name

    def deploy(self) -> str:
        """Wait until the Flink jobs are running, deployed by the active run of `flink_jobs` or a new one. Returns the run's id.

        A run that started before the platform does not count, because it was interrupted or had other settings.
        """
        self.wait(
            lambda: self.api.is_known(JOBS_DAG, GENERATOR_DAG, GOLD_DAG), "Airflow to read the DAGs", PARSE_LIMIT_S
        )
        run = self.api.active_run(JOBS_DAG, self.up_since) or self.api.trigger(JOBS_DAG, {})
        self._finish(JOBS_DAG, run, DEPLOY_LIMIT_S)
        self.progress.done(f"{JOBS_DAG}: the Flink jobs are running")
        return run

    def run(self, trips: Trips) -> Outcome:
        """Send the trips, build Gold once Silver is complete, and count."""
        before = self.wait(self.ledger_at_rest, "earlier trips to arrive", ARRIVE_LIMIT_S)
        rejected_before = self._rejects()
        judged, expected = self._expect(trips, rows_by_place(before))
        first_event_at, phases_s = self.send(trips)
        published_at, phases_s["gold"] = self.build()
        phases_s["end_to_end"] = published_at - first_event_at
        phases_s["live"] = self.await_stage("live") - first_event_at
        rows, balanced = self.count()
        first, after = judged["window"]
        return Outcome(
            phases_s={name: round(seconds, 1) for name, seconds in phases_s.items()},
            rows=rows,
            expected=expected,
            ledger_balanced=balanced,
            sent=judged["events"],
            rejects=dict((self._rejects() - rejected_before).most_common()),
            expected_rejects=judged["reasons"],
            window=(first, after),
            live=self.live_view(),
        )

    def send(self, trips: Trips) -> tuple[float, dict[str, float]]:
        """Send the trips, and wait until they are in Bronze and Silver, which Gold needs.

        :return: when the first one was sent (epoch seconds), and the seconds from then to the end of each phase
        """
        run = self.api.trigger(GENERATOR_DAG, asdict(trips))
        self._finish(GENERATOR_DAG, run, SEND_LIMIT_S)
        sent = self.api.returned(GENERATOR_DAG, run, "generate")
        first_event_at = sent["first_event_at_ms"] / 1000
        self.progress.done(f"{GENERATOR_DAG}: {sent['delivered']:,} trips are in Kafka")
        phases_s = {"produce": sent["elapsed_s"]}
        for stage in self.pipeline.stages_to_gold:
            phases_s[stage.name] = self.await_stage(stage.name) - first_event_at
        return first_event_at, phases_s

    def await_stage(self, name: str) -> float:
        """Wait until each row of a stage's source is in one of its sinks; return the time of the last commit (epoch seconds)."""
        from lakehouse.streaming.flow import Flow

        flow, title = Flow(self.pipeline, self.pipeline.stages[name]), name.capitalize()
        self.wait(lambda: not flow.reconcile().missing, f"{title} to be complete", ARRIVE_LIMIT_S)
        self.progress.done(f"Flink: {title} is complete")
        return _last_commit(*flow.stage.sinks.values())

    def build(self) -> tuple[float, float]:
        """Build Gold; return when it was published (epoch seconds), and the seconds since the trigger."""
        triggered_at = time.time()
        run = self.api.trigger(GOLD_DAG, {})
        published_at = self.wait(lambda: self._published_at(run), f"{GOLD_DAG} to publish Gold", GOLD_LIMIT_S)
        self.progress.done(f"{GOLD_DAG}: Gold is published")
        return published_at, published_at - triggered_at

    def count(self) -> tuple[dict[str, int], bool]:
        """Current rows by place, and whether the ledger is balanced."""
        import duckdb

        from lakehouse.gold.file import count_late_duplicates, published_file

        with duckdb.connect(str(published_file(self.pipeline)), read_only=True) as gold:
            marts = {name: gold.table(name).count("*").fetchall()[0][0] for name in ("fct_trips", *MARTS)}
        ledger = self.ledger(marts["fct_trips"], count_late_duplicates(self.pipeline))
        return {**rows_by_place(ledger), **marts}, ledger.balanced

    def live_view(self) -> LiveView | None:
        """The live windows; None before the first one is closed."""
        import duckdb

        from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

        stage = self.pipeline.stages["live"]
        found = self.wait(lambda: self.ledger()["live"].windows, "the live windows", ARRIVE_LIMIT_S)
        if found.closed_until is None:
            return None
        with duckdb.connect() as connection:
            connection.register(
                "zone_demand", IcebergCatalogHook().table(stage.aggregates["zone_demand"]).scan().to_arrow()
            )
            zones = connection.execute(
                "SELECT zone, borough, sum(trips)::BIGINT, sum(revenue)::DOUBLE, avg(mean_speed_mph) FROM zone_demand"
                " WHERE window_end > ? GROUP BY ALL ORDER BY 3 DESC, 4 DESC LIMIT ?",
                [found.closed_until - timedelta(hours=HOURS_SHOWN), ZONES_SHOWN],
            ).fetchall()
        return LiveView(found.closed, found.open, f"{found.closed_until:%Y-%m-%d %H:%M}", zones)

    def ledger(self, fact_rows: int | None = None, late_duplicates: int = 0) -> Ledger:
        """The current row ledger."""
        from lakehouse.quality.ledger import read_ledger

        return read_ledger(self.pipeline, fact_rows, late_duplicates)

    def ledger_at_rest(self) -> Ledger | None:
        """The row ledger if no row is in flight, otherwise None.

        :raises PlatformError: there are surplus rows
        """
        ledger = self.ledger()
        if ledger.errors:
            raise PlatformError(f"the ledger does not add up:\n{ledger}")
        return ledger if ledger.balanced else None

    def at_rest(self, dag_id: str, limit_s: float) -> None:
        """Wait until no run of the DAG is queued or running."""
        self.wait(lambda: self.api.active_run(dag_id) is None, f"the runs of {dag_id} to end", limit_s)

    def wait(self, probe: Callable[[], T | None], what: str, limit_s: float) -> T:
        """Call `probe` until it returns a true value, and return that; show what is awaited.

        A slow probe is called less often, so that it does not slow down what it waits for. A service that does not
        respond in time is called again.
        """
        from lakehouse.airflow.hooks.unavailable import ServiceUnavailable

        deadline = time.monotonic() + limit_s
        while True:
            began = time.monotonic()
            problem = ""
            try:
                if found := probe():
                    return found
            except ServiceUnavailable as error:
                problem = f" ({error})"
            took = time.monotonic() - began
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"waited {limit_s:g} s for {what}{problem}. Next: make status, make logs, make ledger"
                )
            self.progress.waiting(f"waiting for {what}{problem}")
            time.sleep(max(POLL_S, 3 * took))

    def _rejects(self) -> Counter[str]:
        """Reason -> number of trips that Silver has rejected so far."""
        from lakehouse.quality.rejects.read import reasons

        return Counter({found.reason: found.rejected for found in reasons(self.pipeline, "silver")})

    def _expect(self, trips: Trips, before: dict[str, int]) -> tuple[dict[str, Any], dict[str, int]]:
        """The expected result of the trips by the generator's rules, and the expected rows by place, including existing ones."""
        import duckdb

        import taxi_generator as generator
        from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

        with tempfile.TemporaryDirectory() as folder:
            keys = Path(folder) / "keys.parquet"
            judged = generator.expected_result(keys, **asdict(trips))
            held = (
                IcebergCatalogHook()
                .table(TABLES["silver"])
                .scan(selected_fields=("trip_id", "pickup_date", "pickup_hour"))
            )
            connection = duckdb.connect()
            connection.register("held", held.to_arrow())
            [(silver, dates, hours)] = connection.execute(
                "SELECT count(DISTINCT trip_id), count(DISTINCT pickup_date), count(DISTINCT (pickup_date, pickup_hour))"
                " FROM (FROM held UNION ALL FROM read_parquet(?))",
                [str(keys)],
            ).fetchall()
        return judged, {
            "kafka": before["kafka"] + judged["events"],
            "bronze": before["bronze"] + judged["bronze"],
            "rejected_events": before["rejected_events"],
            "silver": silver,
            "rejected_trips": before["rejected_trips"] + judged["rejected_trips"],
            "fct_trips": silver,
            **dict(zip(MARTS, (dates, hours), strict=True)),
        }

    def _published_at(self, run: str) -> float | None:
        task = self.api.tasks(GOLD_DAG, run)["publish"]
        if task["state"] == "skipped":
            reasons = self.api.returned(GOLD_DAG, run, "check_flink_health", key="reasons")
            raise PlatformError(
                f"{GOLD_DAG} did not publish Gold: {'; '.join(reasons)}. Next: run it again when `make health` shows no reason"
            )
        self._refuse_failure(GOLD_DAG, run)
        return task["end_date"].timestamp() if task["state"] == "success" else None

    def _finish(self, dag_id: str, run: str, limit_s: float) -> None:
        self.wait(lambda: self.api.state(dag_id, run) in ENDED, f"{dag_id} to end", limit_s)
        self._refuse_failure(dag_id, run)

    def _refuse_failure(self, dag_id: str, run: str) -> None:
        if self.api.state(dag_id, run) == "failed":
            raise PlatformError(self.api.describe_failure(dag_id, run))


def rows_by_place(ledger: Ledger) -> dict[str, int]:
    """Rows of the topic and of the streaming tables, by names in the outcome."""
    return {"kafka": ledger.events, **{place: ledger.rows(table) for place, table in TABLES.items()}}


def _last_commit(*tables: str) -> float:
    """Epoch seconds of the latest commit to any of the tables."""
    from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

    iceberg = IcebergCatalogHook()
    snapshots = [iceberg.table(name).current_snapshot() for name in tables]
    return max(snapshot.timestamp_ms for snapshot in snapshots if snapshot) / 1000
