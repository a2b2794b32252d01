"""Airflow imports this module before it opens its metadata database, in each of its commands.

`airflow dags test` and `airflow tasks test` make an ordinary running DAG run. On the platform's database the live
scheduler would take its tasks too (and a test that is killed would leave a run that blocks the DAG), so a test gets a
database of its own.
"""

import sys

if sys.argv[1:3] in (["dags", "test"], ["tasks", "test"]):
    from lakehouse.test_database import open_test_database

    SQL_ALCHEMY_CONN, SQL_ALCHEMY_CONN_ASYNC = open_test_database()
