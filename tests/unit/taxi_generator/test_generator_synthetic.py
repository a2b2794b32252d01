"""Synthetic trips: the same for the same seed, the guaranteed numbers for any, in bounded memory."""

import tracemalloc
from datetime import datetime
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from taxi_generator import synthetic
from taxi_generator.events import COLUMNS
from taxi_generator.oracle import Oracle

JANUARY = datetime(2024, 1, 1), datetime(2024, 2, 1)


def trips(seed: int, events: int, **options) -> pa.Table:
    return pa.Table.from_batches(synthetic.batches(seed, events, **options))


def test_the_same_seed_and_number_give_the_same_trips():
    assert trips(3, 25_000).equals(trips(3, 25_000))
    assert not trips(3, 1_000).equals(trips(4, 1_000))


@pytest.mark.parametrize("seed", [0, 1, 7, 42, 20_240_131, 2**63])
def test_ten_thousand_events_give_exactly_the_guaranteed_rows(seed):
    table = trips(seed, 10_000)
    fare, pickup = table["fare_amount"].to_numpy(), table["tpep_pickup_datetime"].to_numpy()
    early = pickup < np.datetime64("2024-01-01")
    assert (len(table), (fare < 0).sum(), early.sum(), (early & (fare < 0)).sum()) == (10_000, 135, 10, 0)
    assert pc.min(table["trip_distance"]).as_py() > 0

    with Oracle(*JANUARY) as oracle:
        for batch in table.to_batches():
            oracle.add(batch)
        assert oracle.result() == {
            "events": 10_000, "bronze": 10_000, "rejected_events": 0,
            "silver": 9_855, "rejected_trips": 145, "duplicates": 0, "dates": 31, "hours": 744,
            "reasons": {"fare_amount is negative": 135, "tpep_pickup_datetime is outside the window": 10},
            "window": ["2024-01-01 00:00:00", "2024-02-01 00:00:00"],
        }  # fmt: skip


@pytest.mark.parametrize("events", [1, 2, 744, 754, 755, 756, 1_000, 10_001, 123_457])
def test_any_number_of_events(events):
    table = trips(5, events)
    fare, pickup = table["fare_amount"].to_numpy(), table["tpep_pickup_datetime"].to_numpy()
    valid = (fare >= 0) & (pickup >= np.datetime64("2024-01-01")) & (pickup < np.datetime64("2024-02-01"))
    invalid = (events * 145 + 5_000) // 10_000
    assert (len(table), valid.sum()) == (events, events - invalid)
    if events - invalid >= 744:
        assert len(np.unique(pickup[valid].astype("datetime64[h]"))) == 744


def test_trips_arrive_in_nearly_the_order_of_drop_off_except_for_the_late_ones():
    table = trips(2, 60_000)
    dropoff = table["tpep_dropoff_datetime"].to_numpy()
    dropoff = dropoff[table["tpep_pickup_datetime"].to_numpy() >= np.datetime64("2024-01-01")]  # no slow meters
    behind = np.maximum.accumulate(dropoff) - dropoff
    is_late = behind > np.timedelta64(10, "m")
    assert is_late.sum() == synthetic.late_events(60_000) == 120
    assert behind[is_late].min() > np.timedelta64(11, "h")
    assert behind[is_late].max() < np.timedelta64(25, "h")
    assert np.timedelta64(0) < np.quantile(behind[~is_late], 0.95) < np.timedelta64(10, "m")
    assert dropoff[is_late].max() < np.datetime64(
        "2024-01-31T03:00"
    )  # windows of the last day close at the end of the stream


@pytest.mark.parametrize(("events", "late"), [(0, 0), (9_999, 0), (10_000, 20), (10_499, 20), (100_000, 200)])
def test_how_many_trips_are_late(events, late):
    assert synthetic.late_events(events) == late


def test_all_trips_are_distinct():
    """Not within a batch, not between seeds, and not when the stream starts over."""
    identity = ["VendorID", "tpep_pickup_datetime", "tpep_dropoff_datetime", "PULocationID", "DOLocationID",
                "fare_amount", "total_amount"]  # fmt: skip
    seeds = pa.concat_tables([trips(seed, 60_000) for seed in range(5)])
    endless = pa.Table.from_batches(islice(synthetic.batches(1, 0), 25))
    for table in (seeds, endless):
        assert len(table) > synthetic.PASS_EVENTS
        assert table.group_by(identity).aggregate([]).num_rows == len(table)


def test_similar_trips_of_the_same_second_differ_in_their_drop_off():
    index = np.arange(synthetic.DISTINCT_IN_A_SECOND)
    assert len(np.unique(synthetic._durations(np.full(len(index), 600.0), index))) == len(index)


def test_trips_are_plausible():
    table = trips(8, 100_000)
    column = {name: table[name].to_numpy() for name in ("payment_type", "tip_amount", "PULocationID", "trip_distance")}
    fare, rate = table["fare_amount"].to_numpy(), table["RatecodeID"].to_numpy()
    hour = pc.hour(table["tpep_pickup_datetime"]).to_numpy()
    minutes = (table["tpep_dropoff_datetime"].to_numpy() - table["tpep_pickup_datetime"].to_numpy()) / np.timedelta64(
        60, "s"
    )

    assert not column["tip_amount"][column["payment_type"] != 1].any()
    assert 0.9 < (column["tip_amount"][column["payment_type"] == 1] > 0).mean() < 0.96
    assert 0.03 < table["passenger_count"].null_count / len(table) < 0.06
    assert set(np.unique(column["PULocationID"])) == set(range(1, 264))
    assert (hour == 18).sum() > 5 * (hour == 4).sum()
    assert set(np.abs(fare[rate == 2])) == {70.0}
    assert 1.2 < np.median(column["trip_distance"]) < 2.5
    assert 10 < np.median(minutes) < 16
    assert 12 < np.median(fare) < 16
    assert minutes.max() <= 180


def test_memory_does_not_grow_with_the_number_of_events():
    def peak(events: int) -> int:
        tracemalloc.start()
        for batch in synthetic.batches(1, events):
            assert batch.schema.names == list(COLUMNS)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(1_000_000) < 1.5 * peak(50_000)
