"""What a person asks of the platform from a shell: `python -m lakehouse VERB`; `make help` tells what each does."""

from __future__ import annotations

import argparse
import os
import sys

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException

from lakehouse import airflow_settings, dbt_by_hand
from lakehouse.gold_file import count_trips, published_file
from lakehouse.health import platform_health
from lakehouse.hooks.flink import FlinkError
from lakehouse.ledger import read_ledger


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


def query(sql: str) -> int:
    """Print what a query of the published Gold file gives."""
    import duckdb

    with duckdb.connect(str(published_file()), read_only=True) as gold:
        gold.sql(sql).show()
    return 0


VERBS = {
    "ledger": ledger,
    "health": health,
    "dbt-deps": dbt_by_hand.deps,
    "dbt-build": dbt_by_hand.build,
    "dbt-test": dbt_by_hand.test,
    "dbt-docs": dbt_by_hand.docs,
    "query": query,
}


def main() -> int:
    """Run one verb."""
    parser = argparse.ArgumentParser(prog="python -m lakehouse", description=__doc__)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("sql", nargs="*", help="of `query`")
    arguments = parser.parse_args()
    # Outside of a task, Airflow's SDK looks connections and variables up in the environment alone.
    os.environ.update(airflow_settings.load().environment())
    try:
        return VERBS[arguments.verb](*arguments.sql)
    except (AirflowException, FlinkError, airflow_settings.SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
