"""A trip that arrives again after its state in Silver has expired is in Gold once, and counted as a late duplicate."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.gold.gold import Gold
from tests.gold.silver import odd_trips
from tests.gold.test_gold_refresh import OF_ONE_RUN, differences

pytestmark = pytest.mark.long

FIRST, A_MONTH_LATER = "2024-02-01 10:00:00+00", "2024-03-01 10:00:00+00"
COUNTS = "select (select count(*) from fct_trips), (select count(*) from late_duplicates)"


def with_other_tips(trips: pa.Table) -> pa.Table:
    """The same trips, with different values outside the key."""
    place = trips.schema.get_field_index("tip_amount")
    tips = pc.add(trips["tip_amount"], pa.scalar(Decimal("100.00"), pa.decimal128(10, 2)))
    return trips.set_column(place, trips.schema.field(place), tips.cast(pa.decimal128(10, 2)))


@pytest.fixture
def gold(new_gold) -> Gold:
    return new_gold()


def test_the_same_file_sent_again_a_month_later(gold, silver):
    gold.build(silver.append(odd_trips(0, 50, FIRST)), command="build")
    marts = gold.query("from mart_daily_revenue order by all")
    again = with_other_tips(odd_trips(0, 50, A_MONTH_LATER))

    gold.build(silver.append(again), command="build")

    assert gold.query(COUNTS) == [(50, 50)]
    assert gold.query("from mart_daily_revenue order by all") == marts
    gold.build(silver.append(odd_trips(50, 60, A_MONTH_LATER)), command="build")  # stages the duplicates again
    assert gold.query(COUNTS) == [(60, 50)]
    incremental = gold.rows()
    gold.build(silver.metadata, "--full-refresh", command="build")
    assert differences(gold.rows(), incremental) <= OF_ONE_RUN


def test_a_lost_state_while_the_trips_are_new(gold, silver):
    """The first arrival and its duplicate are staged together."""
    silver.append(odd_trips(0, 50, FIRST))
    again = with_other_tips(odd_trips(40, 50, "2024-02-01 10:20:00+00"))

    gold.build(silver.append(again), command="build")

    assert gold.query(COUNTS) == [(50, 10)]
    assert gold.query("select max(tip_amount) < 100 from fct_trips") == [(True,)]
    gold.build(silver.metadata, command="build")
    assert gold.query(COUNTS) == [(50, 10)]


def test_a_trip_that_arrives_three_times(gold, silver):
    for at in (FIRST, "2024-02-01 10:20:00+00", A_MONTH_LATER):
        gold.build(silver.append(odd_trips(0, 5, at)), command="build")
    assert gold.query(COUNTS) == [(5, 10)]
