"""The audit of a pipeline without audit rules: other stages, roles, types and names, all in one namespace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException
from pyiceberg.catalog.sql import SqlCatalog
from shop import STAGES, Shop, publish, shop, shop_contract

from lakehouse.gold.file import published_file
from lakehouse.pipelines.contract import Contract, Field
from lakehouse.quality.audit import AuditReport, run_audit
from lakehouse.quality.audit.stage import values_of

WITH_POSITION = "SELECT * EXCLUDE (lines), upper(note) AS loud_note FROM orders"
WITHOUT_POSITION = "SELECT order_id, price, note, paid AS was_paid FROM orders"


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return shop_contract(tmp_path)


@pytest.fixture
def orders() -> Shop:
    """Ten orders, a refused and a repeated one, and two invalid messages."""
    orders = Shop()
    for number in range(10):
        orders.order(number)
    orders.refused(price='"free"')
    orders.repeated(3)
    orders.unreadable(b"no JSON")
    orders.unreadable(None)
    return orders


@pytest.fixture
def audit(orders: Shop, contract: Contract, iceberg: SqlCatalog, send: Callable[..., None], fill: Callable[..., None]):
    """Send the events, write the rows and another pipeline's table in the same namespace, and run the audit."""

    def audit(fact: str = WITH_POSITION, corrupt: str = "SELECT 1", changes=None, **bounds: object) -> AuditReport:
        pipeline = shop(**{"contract": contract, **(changes or {})})
        fill("shop.of_another_pipeline", 5)
        send(pipeline.topic.name, orders.events)
        orders.write(iceberg)
        publish(iceberg, published_file(pipeline), fact, corrupt)
        return run_audit(pipeline, **{"at_rest": True, **bounds})

    return audit


def found(report: AuditReport) -> list[tuple[str, str, str]]:
    """Layer, kind and place of all findings."""
    return [(layer.layer, finding.kind, finding.place) for layer in report.layers for finding in layer.findings]


def offsets(layer: str, kind: str, *numbers: int) -> list[tuple[str, str, str]]:
    return [(layer, kind, f"partition 0, offset {number}") for number in numbers]


def details(report: AuditReport, layer: str) -> list[str]:
    return [finding.details for found in report.layers if found.layer == layer for finding in found.findings]


def test_all_is_well(audit):
    report = audit()
    assert report.clean, str(report)
    assert {layer.layer: layer.checked for layer in report.layers} == {
        "intake": 14,
        "typed": 12,
        "sorted": 10,
        "gold": 10,
    }
    assert report.left_out == {"intake": 0, "typed": 0, "sorted": 0, "gold": 10}
    assert report.layers[3].left_out == {"fct_orders has no column lines": 10}


def test_rows_that_are_missing(orders, audit):
    for table, offset in [
        ("shop.order_events", 9),
        ("shop.unreadable", 12),
        ("shop.orders", 1),
        ("shop.refused_orders", 10),
        ("shop.repeated_orders", 11),
        ("shop.plain_orders", 3),
    ]:
        orders.rows[table].remove(orders.find(table, offset))
    assert found(audit()) == [
        *offsets("intake", "missing", 9, 12),
        *offsets("typed", "duplicated", 9),  # without a source row
        *offsets("typed", "missing", 1, 10, 11),
        *offsets("sorted", "duplicated", 1),
        *offsets("sorted", "missing", 3),
    ]


def test_rows_that_are_duplicated(orders, audit):
    for table, offset in [
        ("shop.unreadable", 12),
        ("shop.refused_orders", 10),
        ("shop.repeated_orders", 11),
        ("shop.urgent_orders", 4),
    ]:
        orders.add(table, **orders.find(table, offset))
    report = audit()
    assert found(report) == [
        *offsets("intake", "duplicated", 12),
        *offsets("typed", "duplicated", 10, 11),
        *offsets("sorted", "duplicated", 4),
    ]
    assert report.duplicated == {"intake": 1, "typed": 2, "sorted": 1, "gold": 0}
    assert details(report, "sorted") == ["1 too many: 2 in shop.urgent_orders"]


def test_a_row_in_two_sinks(orders, audit):
    row = orders.find("shop.orders", 2)
    orders.add("shop.repeated_orders", of="itself", kafka_partition=0, kafka_offset=2)
    orders.add("shop.plain_orders", order_id=row["order_id"], note=row["note"], kafka_partition=0, kafka_offset=2)
    report = audit()
    assert found(report) == [*offsets("typed", "duplicated", 2), *offsets("sorted", "duplicated", 2)]
    assert details(report, "typed") == ["1 too many: 1 in shop.orders and 1 in shop.repeated_orders"]


def test_a_value_of_each_type_that_is_altered(orders, audit):
    altered = [
        ("order_id", 9007199254740992),
        ("qty", 4),
        ("price", Decimal("2.678")),
        ("weight", 0.10000000000000002),
        ("paid", False),
        ("day", date(2024, 1, 16)),
        ("sent_at", datetime(2024, 1, 15, 4, 30, 0, 500_001, tzinfo=UTC)),
        ("packed", datetime(2024, 1, 15, 10, 0, 1, 1)),
        ("note", "cafe"),
        ("lines", '[{"sku":1.50}]'),
    ]
    orders.rows["shop.urgent_orders"].clear()
    orders.rows["shop.plain_orders"].clear()
    for offset, (column, value) in enumerate(altered):
        orders.find("shop.orders", offset)[column] = value
    only_typed = {"stages": {name: STAGES[name] for name in ("intake", "typed")}}
    report = audit(changes=only_typed)
    assert found(report) == offsets("typed", "altered", *range(10))
    assert [text.split(" is ")[0] for text in details(report, "typed")] == [column for column, _ in altered]
    assert details(report, "typed")[4] == "paid is False instead of True"


def test_a_value_that_is_missing_or_was_not_sent(orders, audit):
    orders.find("shop.orders", 0)["weight"] = None
    orders.find("shop.order_events", 1)["weight"] = None
    assert found(audit()) == [*offsets("intake", "altered", 1), *offsets("typed", "altered", 0, 1)]


def test_a_stage_after_typed_values_keeps_them(orders, audit):
    """Its roles and additional columns may be different."""
    orders.find("shop.urgent_orders", 4)["price"] += Decimal("0.001")
    orders.find("shop.urgent_orders", 2)["rank"] = 7
    orders.find("shop.plain_orders", 5)["note"] = "Caf\u00e9"
    report = audit()
    assert found(report) == offsets("sorted", "altered", 4, 5)
    assert details(report, "sorted")[1] == "note is 'Caf\u00e9' instead of 'caf\u00e9'"


def test_a_rejected_row_has_its_original_values_and_a_reason(orders, audit):
    orders.refused(qty='"many"')
    orders.refused(qty='"few"')
    orders.find("shop.refused_orders", 10)["price"] = "Free"
    orders.find("shop.refused_orders", 14)["reason"] = None
    orders.find("shop.unreadable", 12)["payload"] = b"no json"
    orders.find("shop.unreadable", 13)["reason"] = None
    report = audit()
    assert found(report) == [*offsets("intake", "altered", 12, 13), *offsets("typed", "altered", 10, 14)]
    assert details(report, "intake") == ["payload is b'no json' instead of b'no JSON'", "reason is None"]
    assert details(report, "typed") == ["price is 'Free' instead of 'free'", "reason is None"]


def test_invalid_text_is_not_accepted(orders, audit):
    """The stage decides to which sink a row belongs, but no value may be lost."""
    good, bad = orders.find("shop.orders", 0), orders.find("shop.refused_orders", 10)
    place = {"kafka_partition": 0, "kafka_offset": 10}
    orders.rows["shop.refused_orders"].remove(bad)
    orders.add("shop.orders", **{**good, "price": None, **place})
    orders.rows["shop.orders"].remove(orders.find("shop.orders", 1))
    orders.add("shop.refused_orders", **orders.find("shop.order_events", 1), reason="not today")
    del orders.rows["shop.refused_orders"][-1]["ingested_at"]
    orders.rows["shop.plain_orders"].remove(orders.find("shop.plain_orders", 1))
    orders.add("shop.plain_orders", order_id=good["order_id"], note=good["note"], **place)
    report = audit()
    assert found(report) == offsets("typed", "altered", 10)
    assert details(report, "typed") == [
        "is in shop.orders (no reason) instead of shop.refused_orders or shop.repeated_orders"
    ]


def test_an_event_among_the_unreadable_is_altered(orders, audit):
    event = orders.find("shop.order_events", 11)
    orders.rows["shop.order_events"].remove(event)
    orders.add("shop.unreadable", payload=orders.events[11], reason="?", kafka_partition=0, kafka_offset=11)
    report = audit()
    assert found(report)[0] == ("intake", "altered", "partition 0, offset 11")
    assert details(report, "intake") == ["is in shop.unreadable (?) instead of shop.order_events"]


def test_one_stage_from_the_topic_to_typed_values(orders, audit):
    """Its own SQL may also reject valid JSON by its rules."""
    stage = {**STAGES["typed"], "source": "topic"}
    for row in orders.rows["shop.unreadable"]:
        orders.add("shop.refused_orders", reason="no JSON", kafka_partition=0, kafka_offset=row["kafka_offset"])
    orders.find("shop.orders", 7)["paid"] = None
    orders.find("shop.refused_orders", 10)["note"] = "x"
    orders.add("shop.orders", **{**orders.find("shop.orders", 0), "kafka_offset": 12})
    orders.rows["shop.refused_orders"].pop()
    orders.add("shop.orders", kafka_partition=0, kafka_offset=13)  # as if the event had no fields
    report = audit(changes={"stages": {"only": stage}, "gold": None})
    assert [layer.layer for layer in report.layers] == ["only"]
    assert report.layers[0].checked == 14
    assert found(report) == [*offsets("only", "altered", 7, 10, 12, 13), *offsets("only", "duplicated", 12)]


def test_rows_in_flight_are_left_out(orders, audit):
    orders.rows["shop.unreadable"].clear()
    orders.rows["shop.repeated_orders"].clear()
    orders.rows["shop.plain_orders"].remove(orders.find("shop.plain_orders", 9))
    report = audit(at_rest=False, settle_s=0)
    assert report.clean, str(report)
    assert report.layers[0].left_out == {"not yet in intake when the audit began": 2}
    assert report.layers[1].left_out == {"not yet in typed when the audit began": 1}
    assert report.layers[2].left_out == {"not yet in sorted when the audit began": 1}


CORRUPT = """
    DELETE FROM fct_orders WHERE order_id = 9007199254740993;
    INSERT INTO fct_orders FROM fct_orders WHERE order_id = 9007199254740994;
    UPDATE fct_orders SET price = price + 0.001 WHERE order_id = 9007199254740995
"""


def test_a_fact_with_positions(audit):
    report = audit(
        corrupt=f"{CORRUPT}; INSERT INTO fct_orders SELECT * REPLACE (99 AS kafka_offset) FROM fct_orders LIMIT 1"
    )
    assert found(report) == [
        *offsets("gold", "altered", 2),
        *offsets("gold", "duplicated", 1, 99),
        *offsets("gold", "missing", 0),
    ]
    assert details(report, "gold")[0] == "price is Decimal('2.680') instead of Decimal('2.679')"


def test_a_fact_within_bounds(audit):
    """Rows without a source row count too, if they are within the bounds."""
    of_no_order = "INSERT INTO fct_orders SELECT * REPLACE ({} AS kafka_offset) FROM fct_orders LIMIT 1"
    corrupt = "; ".join([CORRUPT, of_no_order.format(10), of_no_order.format(99)])
    report = audit(corrupt=corrupt, first_offset=3, last_offset=10)
    assert found(report) == offsets("gold", "duplicated", 10)
    assert report.layers[3].checked == 7


def test_a_fact_without_positions_is_matched_row_by_row(audit):
    report = audit(fact=WITHOUT_POSITION, corrupt=CORRUPT)
    gold = report.layers[3]
    assert (gold.missing, gold.duplicated, gold.altered) == (
        2,
        2,
        0,
    )  # an altered row counts as one missing and one surplus row
    assert "9007199254740993" in str([finding.details for finding in gold.findings if finding.kind == "missing"])


def test_a_fact_without_common_columns_is_only_counted(audit):
    report = audit(fact="SELECT note || '!' AS remark FROM orders", corrupt="DELETE FROM fct_orders WHERE rowid < 3")
    gold = report.layers[3]
    assert (gold.missing, gold.duplicated, gold.altered) == (3, 0, 0)
    assert gold.left_out["fct_orders shares no column with its source: rows were only counted"] == 10


def test_late_duplicates_are_not_missing_in_the_fact(audit):
    late = "CREATE TABLE late_duplicates AS SELECT kafka_partition, kafka_offset FROM fct_orders WHERE rowid < 3"
    report = audit(corrupt=f"{late}; DELETE FROM fct_orders WHERE rowid < 3")
    gold = report.layers[3]
    assert (gold.missing, gold.duplicated, gold.altered) == (0, 0, 0)
    assert gold.left_out["late duplicates, which fct_orders leaves out"] == 3


def test_without_gold_its_rows_are_left_out(audit):
    report = audit(corrupt="DROP TABLE built_from")
    assert report.layers[3].left_out == {
        "it is not published, or does not record its version of shop.orders: run shop_pipeline": 10
    }


def test_a_table_without_a_new_field_of_the_contract(audit, contract):
    """Bronze must have each field; the error names the DAG that adds it."""
    tip = Field("tip", "tip", "INT", "integer", nullable=True, required=False)
    added = Contract("shop.json", contract.text, (*contract.fields, tip))
    with pytest.raises(AirflowException, match=r"shop\.order_events has no column 'tip'.*Next: run .*flink_jobs"):
        audit(changes={"contract": added})


def test_which_values_of_a_field_are_compared(contract):
    texts, kinds = {"orderid": "VARCHAR", "price": "VARCHAR"}, {"order_id": "BIGINT", "price": "DECIMAL(8,3)"}
    both = values_of(contract, texts, kinds | {"orderid": "VARCHAR"})
    assert [(value.column, value.source, value.is_parsed) for value in both] == [
        ("orderid", "orderid", False),
        ("order_id", "orderid", True),
        ("price", "price", True),
    ]
    # A number that was converted to text can have several representations.
    assert [value.column for value in values_of(contract, kinds, {"price": "VARCHAR", "order_id": "BIGINT"})] == [
        "order_id"
    ]


def test_invalid_audit_rules_are_reported_with_their_file(audit):
    wrong = {**STAGES["typed"], "audit": "nyc_taxi/audit-silver.sql"}
    with pytest.raises(AirflowException, match=r"include/sql/nyc_taxi/audit-silver\.sql cannot be run"):
        audit(changes={"stages": {"intake": STAGES["intake"], "typed": wrong}})
