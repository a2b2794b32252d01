"""Generates trips for the pipeline `nyc_taxi`: synthetic ones, or those of any TLC yellow-taxi file.

Airflow calls `run`; `python -m taxi_generator --help` is the command line. Importing this package is cheap: numpy, pyarrow and
Kafka's client are only imported by a run.
"""

from .errors import DeliveryFailed, GeneratorError
from .runner import EVENTS, MODES, SEED, expected_result, pickup_months, run

__all__ = ["EVENTS", "MODES", "SEED", "DeliveryFailed", "GeneratorError", "expected_result", "pickup_months", "run"]
