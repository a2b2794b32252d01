"""Trips for the pipeline `nyc_taxi`: synthetic ones, or those of any TLC yellow-taxi file.

`run` is what Airflow calls; `python -m taxi_generator --help` is the same by hand. Importing this
package is cheap: numpy, pyarrow and Kafka's client are loaded by a run.
"""

from .errors import DeliveryFailed, GeneratorError
from .runner import EVENTS, MODES, SEED, judge, pickup_months, run

__all__ = ["EVENTS", "MODES", "SEED", "DeliveryFailed", "GeneratorError", "judge", "pickup_months", "run"]
