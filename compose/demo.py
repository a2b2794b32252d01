"""The demo on containers: runs the main job once, through Airflow, and prints the same table as `make demo`."""

import argparse
import os
import sys
import time

from rich.console import Console

from demo.main_job import MainJob, Trips
from demo.report import show, verdict
from lakehouse.airflow import settings as airflow_settings
from local.airflow_api import AirflowApi
from local.config import PlatformError
from local.progress import Progress

OTHER_WINDOW = (
    "correct the variable pipeline.nyc_taxi (Admin, Variables), or set the window in include/pipelines/nyc_taxi.yaml"
)


def main() -> int:
    """Run the demo; return 0 if every count is right and the ledger is balanced."""
    parser = argparse.ArgumentParser(prog="python -m compose.demo", description=__doc__)
    parser.add_argument("--events", type=int, help="number of trips (default 10,000)")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="seed of synthetic trips (default: a new one)"
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    airflow_settings.apply_to_environment()
    job = MainJob(AirflowApi(os.environ["AIRFLOW_URL"], "admin", os.environ["AIRFLOW_ADMIN_PASSWORD"]), Progress())
    try:
        job.deploy()
        started = time.monotonic() - began
        outcome = job.run(Trips(arguments.events, arguments.seed))
    except PlatformError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    outcome.phases_s = {"start": round(started, 1), **outcome.phases_s}
    show(outcome, Console(highlight=False))
    if problem := verdict(outcome, OTHER_WINDOW):
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
