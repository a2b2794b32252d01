"""One project, many pipelines: a run only sees the models of its own pipeline, and files are separate."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.gold.gold import PROJECT, Dbt, Gold

MODELS = {
    "staging/_sources.yml": """\
        sources:
          - name: silver
            tables: [{name: events, config: {external_location: iceberg_scan(getvariable('source_metadata'))}}]
        """,
    "staging/stg_events.sql": "select id, amount from {{ source('silver', 'events') }}",
    # With the same name as one of the other pipeline.
    "marts/core/dim_dates.sql": "select cast(current_date as date) as date_day",
    "marts/core/fct_events.sql": "select id, amount from {{ ref('stg_events') }}",
    "marts/core/_core.yml": """\
        models:
          - name: dim_dates
            columns: [{name: date_day, data_type: date}]
          - name: fct_events
            data_tests: [holds_every_source_row]
            columns:
              - {name: id, data_type: integer, data_tests: [unique, not_null]}
              - {name: amount, data_type: double}
        """,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with a second pipeline without its own seeds, tests and macros."""
    folder = tmp_path_factory.mktemp("project") / "dbt"
    shutil.copytree(PROJECT, folder)
    for name, text in MODELS.items():
        file = folder / "models" / "second" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A version of the second pipeline's source with three rows."""
    folder = tmp_path_factory.mktemp("source")
    catalog = SqlCatalog("second", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace("silver")
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "amount": pa.array([0.5, 1.5, 2.5], pa.float64())})
    table = catalog.create_table("silver.events", rows.schema)
    table.append(rows)
    return table.metadata_location


def test_a_pipeline_builds_its_own_models(project, source, tmp_path):
    gold = Gold(Dbt(tmp_path, project, "second"), tmp_path / "gold")

    built = gold.build(source, command="build")

    assert built == {
        "stg_events": "success",
        "dim_dates": "success",
        "fct_events": "success",
        "holds_every_source_row_fct_events_": "pass",
        "unique_fct_events_id": "pass",
        "not_null_fct_events_id": "pass",
    }
    assert gold.query("select count(*), sum(amount) from fct_events") == [(3, 4.5)]
    gold.query("delete from fct_events where id = 2")
    assert not gold.dbt("test").success


def test_a_broken_model_does_not_affect_other_pipelines(project, dbt, tmp_path):
    broken = project / "models" / "nyc_taxi" / "marts" / "core" / "dim_dates.sql"
    text = broken.read_text()
    broken.write_text("select {{ no_such_macro( }} from {{ ref('nothing') }}")
    try:
        second = Dbt(tmp_path / "second", project, "second")
        with pytest.raises(AssertionError, match="no_such_macro"):
            Dbt(tmp_path / "taxi", project)
    finally:
        broken.write_text(text)

    names = {node["name"] for node in second.manifest["nodes"].values() if node["resource_type"] == "model"}
    assert names == {"stg_events", "dim_dates", "fct_events"}
    assert dbt.manifest["nodes"].keys() & second.manifest["nodes"].keys() <= {
        "model.lakehouse.dim_dates",
        "operation.lakehouse.lakehouse-on-run-end-0",
    }
