"""Parses DAG files as Airflow's DAG processor does, each in its own fork, and prints the results as one line of JSON.

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
    """The DAGs of one file, and the modules that it imports."""
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
    """The same in a fork, so that the modules of one file are not already imported for the next."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as fork:
        return fork.submit(parse, path).result()


if __name__ == "__main__":
    print(json.dumps({path: parse_in_fork(path) for path in sys.argv[1:]}))
