"""Parses DAG files as Airflow's DAG processor does, each in a fork of its own, and prints what it saw as one line of JSON.

python tests/dags/parse.py DAG_FILE...
"""

import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from airflow.dag_processing.dagbag import DagBag
from refusal import refuse_network, refused


def parse(path: str) -> dict:
    """What Airflow gets from one file, and which modules it imports for it."""
    sys.addaudithook(refuse_network)
    before, start = set(sys.modules), time.process_time()
    bag = DagBag(path)
    return {
        "cpu_s": time.process_time() - start,
        "dags": sorted(bag.dags),
        "operators": sorted(
            {base.__module__ for dag in bag.dags.values() for task in dag.tasks for base in type(task).__mro__}
        ),
        "errors": [*bag.import_errors.values()],
        "warnings": [warning for warnings in bag.captured_warnings.values() for warning in warnings],
        "refused": refused,
        "modules": sorted(set(sys.modules) - before),
    }


def parse_in_fork(path: str) -> dict:
    """The same, so that what one file imports is not there yet for the next."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as fork:
        return fork.submit(parse, path).result()


if __name__ == "__main__":
    print(json.dumps({path: parse_in_fork(path) for path in sys.argv[1:]}))
