"""The catalog through its connection: in a database, or of another type that the extras describe."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import EndpointConnectionError
from pyiceberg.exceptions import ServerError
from pyiceberg.io import load_file_io
from requests import ConnectionError as NoAnswer

from lakehouse.airflow.hooks.coordination import CoordinationHook
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count, surplus_files
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable


def test_rows_are_those_of_the_current_snapshot(fill):
    fill("silver.cleaned_trips", 0)
    assert row_count(IcebergCatalogHook().table("silver.cleaned_trips")) == 0
    fill("silver.cleaned_trips", 3)
    fill("silver.cleaned_trips", 4)
    assert row_count(IcebergCatalogHook().table("silver.cleaned_trips")) == 7


def test_a_warehouse_that_is_a_path_is_not_logged_at_each_load(iceberg, caplog):
    with caplog.at_level("INFO"):
        load_file_io(location="/warehouse/silver/cleaned_trips")
    assert caplog.messages == []


def test_a_missing_table_is_named_with_the_next_step(iceberg):
    with pytest.raises(
        AirflowException, match=r"Iceberg table silver\.nothing does not exist\. Next: run the DAG flink_jobs"
    ):
        IcebergCatalogHook().table("silver.nothing")


def test_in_an_unused_catalog_a_table_is_missing(iceberg):
    iceberg.destroy_tables()
    assert not IcebergCatalogHook().exists("silver.cleaned_trips")
    with pytest.raises(AirflowException, match=r"silver\.cleaned_trips does not exist\. Next: run the DAG flink_jobs"):
        IcebergCatalogHook().table("silver.cleaned_trips")


def test_whether_a_table_exists(fill):
    fill("silver.cleaned_trips", 0)
    assert IcebergCatalogHook().exists("silver.cleaned_trips")
    assert not IcebergCatalogHook().exists("silver.nothing")


def test_a_catalog_that_is_down_is_named_with_the_next_step():
    """As the test settings configure it."""
    hook = IcebergCatalogHook()
    for ask in (hook.table, hook.exists, lambda _: [*hook.every_table()]):
        with pytest.raises(
            ServiceUnavailable, match=r"Iceberg catalog \(connection 'iceberg_catalog'\) does not answer.*make status"
        ):
            ask("silver.cleaned_trips")


def test_a_warehouse_that_cannot_be_read_is_named_with_the_next_step(iceberg, fill):
    fill("silver.cleaned_trips", 1)
    metadata = Path(iceberg.load_table("silver.cleaned_trips").metadata_location.removeprefix("file://"))
    metadata.unlink()
    with pytest.raises(
        ServiceUnavailable,
        match=rf"^The warehouse of the Iceberg catalog \(connection 'iceberg_catalog'\) cannot be read: .*{metadata.name}",
    ):
        IcebergCatalogHook().table("silver.cleaned_trips")


@pytest.mark.parametrize(
    ("error", "service"),
    [
        (ServerError("503"), "The Iceberg catalog"),  # by REST
        (NoAnswer("refused"), "The Iceberg catalog"),
        (PermissionError("access denied"), "The warehouse"),
        (pa.ArrowInvalid("not a Parquet file"), "The warehouse"),
        (EndpointConnectionError(endpoint_url="http://s3"), "The warehouse"),
    ],
)
def test_the_service_is_named_whatever_a_library_raises(error, service):
    with pytest.raises(ServiceUnavailable, match=f"^{service}.*{error}"), IcebergCatalogHook().answering():
        raise error


def test_every_table_in_whichever_namespace(iceberg, fill):
    fill("bronze.raw_trips", 1)
    fill("elsewhere.a", 0)
    fill("elsewhere.b", 0)
    assert sorted(".".join(table.name()) for table in IcebergCatalogHook().every_table()) == [
        "bronze.raw_trips", "elsewhere.a", "elsewhere.b",
    ]  # fmt: skip


def test_an_unused_catalog_has_no_tables(iceberg):
    iceberg.destroy_tables()
    assert [*IcebergCatalogHook().every_table()] == []


@pytest.fixture
def rest_catalog(http, connect):
    """A catalog by REST with one table, behind the connection; the table's metadata is that of the database's catalog."""

    def rest_catalog(metadata_location: str) -> None:
        connect(
            "iceberg_catalog", extra={"type": "rest", "uri": f"http://127.0.0.1:{http.server_port}", "warehouse": "w"}
        )
        metadata = json.loads(Path(metadata_location.removeprefix("file://")).read_text())
        http["GET /v1/config?warehouse=w"] = {"defaults": {}, "overrides": {}}
        answer = {"metadata-location": metadata_location, "metadata": metadata, "config": {}}
        http["GET /v1/namespaces/bronze/tables/raw_trips?snapshots=all"] = answer
        http["GET /v1/namespaces/bronze/tables/raw_trips"] = answer

    return rest_catalog


def test_a_rest_catalog_works_too(iceberg, fill, rest_catalog):
    """Locks need no database of the catalog's."""
    fill("bronze.raw_trips", 3)
    rest_catalog(iceberg.load_table("bronze.raw_trips").metadata_location)
    hook = IcebergCatalogHook()
    assert not hook.is_database
    assert hook.rows("bronze.raw_trips") == 3
    with CoordinationHook().lock("job", 0.2):
        pass


@pytest.mark.parametrize(("files", "size", "surplus"), [(3, 250, 0), (3, 200, 1), (1_000, 1, 999), (0, 0, 0)])
def test_files_that_full_ones_would_save(files, size, surplus):
    message = {"total-data-files": str(files), "total-files-size": str(size)}
    summary = SimpleNamespace(additional_properties=message)
    assert surplus_files(SimpleNamespace(summary=summary), target_bytes=100) == surplus
    assert surplus_files(None, target_bytes=100) == 0
