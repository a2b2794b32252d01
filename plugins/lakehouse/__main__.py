"""What a person asks of the platform from a shell: `python -m lakehouse VERB`; `make help` tells what each does."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow import settings as airflow_settings
from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.gold import dbt as dbt_by_hand
from lakehouse.gold.file import count_trips, published_file
from lakehouse.maintenance import by_hand
from lakehouse.quality import rejects, rejects_replay
from lakehouse.quality.ledger import read_ledger
from lakehouse.streaming import recovery_point
from lakehouse.streaming.health import platform_health
from lakehouse.tables import inspect as inspection


def ledger() -> int:
    """Print the row ledger, Gold as published; fails when it shows what no row in flight can explain."""
    built = count_trips(published_file()) if published_file().exists() else None
    found = read_ledger(Variable.get("taxi_topic"), fct_trips=built)
    print(found)
    return 1 if found.errors else 0


def health() -> int:
    """Print what is seen of each streaming job, and why it is unhealthy; fails when one is."""
    jobs = platform_health()
    for job in jobs:
        print(job, end="\n\n")
    return 0 if all(job.healthy for job in jobs) else 1


def audit(*options: str) -> int:
    """Compare every layer with the one before it, row by row; fails when anything is missing, doubled or altered."""
    from lakehouse.quality.audit import run_audit

    parser = argparse.ArgumentParser(prog="python -m lakehouse audit", description=audit.__doc__)
    parser.add_argument("--partition", type=int, help="this Kafka partition alone")
    parser.add_argument("--first-offset", type=int, help="events from this offset on")
    parser.add_argument("--last-offset", type=int, help="events up to and including this offset")
    parser.add_argument(
        "--since", type=datetime.fromisoformat, help="events since then (ISO 8601), by Kafka's timestamp"
    )
    parser.add_argument("--at-rest", action="store_true", help="nothing is under way: what has not arrived is missing")
    parser.add_argument("--memory-limit", default="1GB", help="of DuckDB (default: 1GB)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    wanted = vars(parser.parse_args(options))
    as_json, since = wanted.pop("json"), wanted.pop("since")
    report = run_audit(
        since_ms=int(since.timestamp() * 1000) if since else None,
        log=lambda line: print(line, file=sys.stderr, flush=True),
        **wanted,
    )
    print(json.dumps(report.as_dict(), indent=2) if as_json else report)
    return 0 if report.clean else 1


def query(sql: str) -> int:
    """Print what a query of the published Gold file gives."""
    import duckdb

    with duckdb.connect(str(published_file()), read_only=True) as gold:
        gold.sql(sql).show()
    return 0


VERBS = {
    "ledger": ledger,
    "health": health,
    "audit": audit,
    "rejects": rejects.main,
    "rejects-replay": rejects_replay.main,
    "dbt-deps": dbt_by_hand.deps,
    "dbt-build": dbt_by_hand.build,
    "dbt-test": dbt_by_hand.test,
    "dbt-docs": dbt_by_hand.docs,
    "query": query,
    "maintenance": by_hand.main,
    "hold-still": recovery_point.main,
    **inspection.VERBS,
}


def main() -> int:
    """Run one verb."""
    parser = argparse.ArgumentParser(prog="python -m lakehouse", description=__doc__)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the verb")
    arguments = parser.parse_args()
    # Outside of a task, Airflow's SDK looks connections and variables up in the environment alone.
    airflow_settings.see()
    try:
        return VERBS[arguments.verb](*arguments.arguments)
    except (AirflowException, FlinkError, TimeoutError, airflow_settings.SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
