"""Airflow imports this module in each of its commands, before it opens its metadata database.

`airflow dags test` and `airflow tasks test` create an ordinary DAG run. On the platform's database the live scheduler would
execute its tasks too, and a test that is killed would leave a run that blocks the DAG; so a test gets its own database.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

if sys.argv[1:3] in (["dags", "test"], ["tasks", "test"]):
    from lakehouse.airflow.throwaway_database import open_throwaway_database

    SQL_ALCHEMY_CONN, SQL_ALCHEMY_CONN_ASYNC = open_throwaway_database()

    def task_policy(task: BaseOperator) -> None:
        """Disable retries: in a shell you want the error now, not after two retries five minutes apart."""
        task.retries = 0
