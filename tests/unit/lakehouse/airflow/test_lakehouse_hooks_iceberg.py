"""The catalog through its connection, and the lock that deployments share."""

from threading import Event, Thread

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count, rows_by_partition


def test_rows_are_those_of_the_newest_snapshot(fill):
    fill("silver.cleaned_trips", 0)
    assert row_count(IcebergCatalogHook().table("silver.cleaned_trips")) == 0
    fill("silver.cleaned_trips", 3)
    fill("silver.cleaned_trips", 4)
    assert row_count(IcebergCatalogHook().table("silver.cleaned_trips")) == 7


def test_rows_by_partition_of_a_table_that_has_only_had_commits_of_nothing(iceberg, fill):
    """A job that finds nothing to write makes one now and then."""
    name = "bronze.rejected_events"
    fill(name, 0)
    assert rows_by_partition(IcebergCatalogHook().table(name), "kafka_partition") == {}
    table = iceberg.load_table(name)
    table.append(table.schema().as_arrow().empty_table())
    assert rows_by_partition(IcebergCatalogHook().table(name), "kafka_partition") == {}
    fill(name, 3, partition=1)
    assert rows_by_partition(IcebergCatalogHook().table(name), "kafka_partition") == {1: 3}


def test_a_table_that_is_not_there_is_named_with_the_next_step(iceberg):
    with pytest.raises(AirflowException, match=r"Iceberg table silver\.nothing does not exist\. The DAG flink_jobs"):
        IcebergCatalogHook().table("silver.nothing")


def test_a_catalog_that_nobody_has_used_has_no_table(iceberg):
    iceberg.destroy_tables()
    assert IcebergCatalogHook().tables("bronze", "silver") == []
    assert not IcebergCatalogHook().exists("silver.cleaned_trips")


def test_who_holds_a_lock_keeps_others_out_until_done(iceberg):
    held, release = Event(), Event()

    def hold() -> None:
        with IcebergCatalogHook().lock("job"):
            held.set()
            release.wait(20)

    holder = Thread(target=hold)
    holder.start()
    try:
        assert held.wait(20)
        with (
            pytest.raises(TimeoutError, match=r"Lock 'job' was held by another run for 0\.2 s"),
            IcebergCatalogHook().lock("job", 0.2),
        ):
            pass
        with IcebergCatalogHook().lock("another job", 0.2):
            pass
    finally:
        release.set()
        holder.join()
    with IcebergCatalogHook().lock("job", 0.2):
        pass


def test_a_lock_is_free_again_after_an_error(iceberg):
    hook = IcebergCatalogHook()
    with pytest.raises(ValueError, match="oops"), hook.lock("job"):
        raise ValueError("oops")
    with IcebergCatalogHook().lock("job", 0.2):
        pass


def test_whether_a_table_is_there(fill):
    fill("silver.cleaned_trips", 0)
    assert IcebergCatalogHook().exists("silver.cleaned_trips")
    assert not IcebergCatalogHook().exists("silver.nothing")


def test_a_catalog_that_is_not_there_is_named_with_the_next_step():
    """What the settings of the tests lead to."""
    hook = IcebergCatalogHook()
    for ask in (hook.table, hook.exists, lambda name: hook.lock(name).__enter__()):
        with pytest.raises(AirflowException, match=r"Iceberg catalog \(connection 'iceberg_catalog'\) does not answer"):
            ask("silver.cleaned_trips")
