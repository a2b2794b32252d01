"""The audit of a platform after other tests have sent valid, bad and repeated events, and killed its processes."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from demo.main_job import Trips
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.quality.audit import AuditReport, database, run_audit

ARRIVE_LIMIT_S = 180


@pytest.fixture(scope="module")
def kafka_events(main_job) -> int:
    """Send trips with duplicates, wait for all layers, build Gold; return the number of events."""
    for _ in range(2):
        main_job.send(Trips(events=2_000, seed=901))
    main_job.build()
    return main_job.wait(main_job.ledger_at_rest, "all rows to arrive", ARRIVE_LIMIT_S).events


@pytest.fixture
def tampered(main_job, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[pa.Table], pa.Table]], AuditReport]:
    """Audit with a changed copy in place of one table, because a change of the live one would stop its readers."""
    catalog, look_up = IcebergCatalogHook().catalog, IcebergCatalogHook.table
    catalog.create_namespace_if_not_exists("tampered")

    def audit(name: str, change: Callable[[pa.Table], pa.Table]) -> AuditReport:
        live = IcebergCatalogHook().table(name)
        copy = catalog.create_table(f"tampered.{name.split('.')[1]}", live.schema())
        copy.append(change(live.scan().to_arrow()))
        monkeypatch.setattr(
            database.IcebergCatalogHook, "table", lambda hook, asked: copy if asked == name else look_up(hook, asked)
        )
        return run_audit(main_job.pipeline, at_rest=True)

    yield audit
    for identifier in catalog.list_tables("tampered"):
        catalog.drop_table(identifier)


def test_all_events_exist_once_and_unchanged(main_job, kafka_events):
    report = run_audit(main_job.pipeline, at_rest=True)

    assert report.clean, f"\n{report}"
    assert report.layers[0].checked == kafka_events
    assert report.left_out == {"bronze": 0, "silver": 0, "gold": 0}


@pytest.mark.parametrize("name", ["bronze.raw_trips", "silver.cleaned_trips"])
def test_a_missing_a_surplus_and_an_altered_row(kafka_events, tampered, name):
    amount = "tip_amount"

    places: list[str] = []

    def change(rows: pa.Table) -> pa.Table:
        positions = rows.take([0, 2, 3]).select(["kafka_partition", "kafka_offset"]).to_pylist()
        places.extend(f"partition {row['kafka_partition']}, offset {row['kafka_offset']}" for row in positions)
        field = rows.column_names.index(amount)
        wrong = pa.array(["999.99"]).cast(rows.schema.field(amount).type)
        altered = rows.slice(2, 1).set_column(field, rows.schema.field(amount), wrong)
        return pa.concat_tables([rows.slice(1, 1), altered, rows.slice(3), rows.slice(3, 1)])

    report = tampered(name, change)

    layer = next(layer for layer in report.layers if layer.layer.lower() == name.split(".")[0])
    assert (layer.missing, layer.duplicated, layer.altered) == (1, 1, 1), f"\n{report}"
    found = {finding.kind: finding.place.split(", trip")[0] for finding in layer.findings}
    assert found == dict(zip(("missing", "altered", "duplicated"), places, strict=True))


def test_an_event_in_no_table(kafka_events, tampered):
    report = tampered(
        "bronze.raw_trips", lambda rows: rows.filter(pc.not_equal(rows["kafka_offset"], pc.max(rows["kafka_offset"])))
    )

    assert report.missing["bronze"] >= 1
    assert not report.clean
