"""Synthetic yellow-taxi trips of January 2024, the same for the same seed and number of events.

Guaranteed for any seed:
- 1.45 % of the events (rounded half up) violate a rule of Silver: 10 of 145 have a pickup before January, because the meter's
  clock was a month slow; the others are refunds with a negative fare;
- every hour of January has a valid trip if there are at least 744 valid ones;
- no two trips are equal (see `_durations`);
- events are in the order of their arrival, as in a real stream: up to 10 minutes after drop-off. Of 10,000 events or more,
  0.2 % (rounded down) come 12 to 24 hours late. None is from the last day, so events of later trips follow;
- only one batch and the trips that have not arrived are in memory, for any number of events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .events import BATCH_ROWS, COLUMNS, arrow_type

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Columns = dict[str, np.ndarray]

JANUARY = 1_704_067_200  # 2024-01-01T00:00:00, as seconds
HOURS = 31 * 24
HOUR = 3600
LONGEST_TRIP = 3 * HOUR
#: Events per pass through January of an endless stream, which then starts over with other trips.
PASS_EVENTS = 100_000
#: Trips that start in the same second differ in their duration modulo this many seconds.
DISTINCT_IN_A_SECOND = 64

_INVALID_PER_10_000 = 145
_LATE_PER_10_000 = 20
_LATE_FROM_EVENTS = 10_000
_MEAN_DELAY, _LONGEST_DELAY = 60, 600
_TOO_EARLY_OF_145 = 10

# Trips by hour of the day, on working days and on weekends; then the weight of each weekday, Monday first.
_WORKDAY = [18, 11, 7, 5, 5, 8, 21, 40, 53, 51, 50, 53, 58, 60, 65, 68, 70, 77, 80, 71, 62, 60, 52, 35]
_WEEKEND = [60, 52, 42, 31, 20, 10, 11, 16, 26, 38, 49, 57, 63, 64, 65, 66, 65, 66, 68, 65, 56, 53, 55, 50]
_WEEKDAY = [0.86, 0.97, 1.03, 1.08, 1.08, 1.07, 0.91]
# Miles per hour in town by hour of the day.
_SPEED = [13, 14, 15, 16, 17, 17, 14, 11, 9, 9, 9, 9, 8.5, 8.5, 8.5, 8.5, 8.5, 8.5, 9, 10, 11, 11.5, 12, 12.5]

JFK, LAGUARDIA, NEWARK = 132, 138, 1
_BUSY_ZONES = {
    132: 50, 161: 48, 237: 48, 236: 46, 162: 36, 230: 36, 186: 35, 142: 35, 138: 31, 239: 29, 163: 29,
    170: 29, 234: 27, 68: 27, 48: 26, 141: 23, 79: 23, 164: 21, 107: 20, 249: 20, 238: 20, 263: 19,
    140: 18, 229: 18, 100: 17, 43: 17, 231: 16, 90: 16, 246: 15, 113: 14, 143: 13, 262: 13, 137: 12,
    114: 12, 233: 11, 50: 10, 151: 10, 75: 9, 148: 9, 144: 8, 158: 7, 211: 7, 87: 7, 13: 7, 166: 6, 88: 5,
    74: 5, 125: 5, 261: 5, 24: 4, 232: 4, 224: 3, 45: 3,
}  # fmt: skip
# Manhattan without the congestion surcharge.
_UPTOWN = {41, 42, 74, 116, 120, 127, 128, 152, 153, 166, 194, 202, 243, 244}
_MANHATTAN = (set(_BUSY_ZONES) - {JFK, LAGUARDIA}) | _UPTOWN | {4, 12, 209}

_CARD, _CASH, _NO_CHARGE, _DISPUTE, _FLEX_FARE = 1, 2, 3, 4, 0
_PAYMENT = {_CARD: 0.783, _CASH: 0.148, _NO_CHARGE: 0.006, _DISPUTE: 0.016, _FLEX_FARE: 0.047}
_PASSENGERS = {1: 0.765, 2: 0.148, 3: 0.032, 4: 0.019, 5: 0.014, 6: 0.010, 0: 0.012}
_VENDORS = {2: 0.76, 1: 0.24}
_TIP_PERCENT = {20: 0.52, 25: 0.10, 30: 0.06, 15: 0.07, 10: 0.06, 5: 0.03, 18: 0.04, 22: 0.05, 0: 0.07}
# TLC's records of flex fares (a taxi trip booked in an app) lack these.
_UNKNOWN_FOR_FLEX_FARE = {
    "passenger_count", "RatecodeID", "store_and_fwd_flag", "congestion_surcharge", "Airport_fee",
}  # fmt: skip


def invalid_events(events: int) -> tuple[int, int]:
    """Of a number of events, how many violate a rule, and how many of these have a pickup before January."""
    invalid = (events * _INVALID_PER_10_000 + 5_000) // 10_000
    return invalid, (invalid * _TOO_EARLY_OF_145 + 72) // 145


def late_events(events: int) -> int:
    """Of a number of events, how many come half a day late or more."""
    return events * _LATE_PER_10_000 // 10_000 if events >= _LATE_FROM_EVENTS else 0


def batches(seed: int, events: int, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The trips of one seed; endless if `events` is 0."""
    if events:
        yield from _january((seed, events, 0), events, rows)
        return
    lap = 0
    while True:
        yield from _january((seed, 0, lap), PASS_EVENTS, rows)
        lap += 1


def _january(entropy: tuple[int, ...], events: int, rows: int) -> Iterator[pa.RecordBatch]:
    """One pass through January: trips are generated in the order of pickup, and yielded in the order of arrival."""
    import numpy as np

    hours = _HourPlan(events)
    pending: Columns | None = None
    for first in range(0, events, rows):
        after = min(first + rows, events)
        rng = np.random.default_rng([*entropy, first // rows])
        made = _trips(rng, hours, events, np.arange(first, after))
        if pending is not None:
            made = {name: np.concatenate([pending[name], made[name]]) for name in made}
        order = np.argsort(made["arrival"], kind="stable")
        # Later trips arrive after they start: trips that arrived before the next pickup can be yielded.
        arrived = made["arrival"] < (hours.earliest_pickup(after) if after < events else np.inf)
        done = order[arrived[order]]
        pending = {name: values[~arrived] for name, values in made.items()}
        for start in range(0, len(done), rows):
            part = done[start : start + rows]
            yield _batch({name: values[part] for name, values in made.items()})


class _HourPlan:
    """Number of trips in each hour; `starts[hour]` is the index of an hour's first trip."""

    def __init__(self, events: int):
        import numpy as np

        hour = np.arange(HOURS)
        day = hour // 24  # 1 January 2024 was a Monday, and a holiday
        off = (day % 7 >= 5) | (day == 0)
        weights = np.where(off, np.array(_WEEKEND)[hour % 24], np.array(_WORKDAY)[hour % 24])
        weights = weights * np.array(_WEEKDAY)[day % 7]
        invalid, _ = invalid_events(events)
        self.everywhere = events - invalid >= HOURS
        spread = events - HOURS if self.everywhere else events
        ends = np.floor(np.cumsum(weights) / weights.sum() * spread + 0.5).astype(np.int64)
        ends[-1] = spread
        self.ends = ends + (hour + 1 if self.everywhere else 0)
        self.starts = np.concatenate([[0], self.ends[:-1]])

    def place(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hour of each trip, its rank among the hour's trips, and their number."""
        import numpy as np

        hour = np.searchsorted(self.ends, index, side="right")
        return hour, index - self.starts[hour], self.ends[hour] - self.starts[hour]

    def earliest_pickup(self, index: int) -> int:
        """Lower bound of the pickups of all trips from this index on."""
        import numpy as np

        hour, rank, size = (int(values[0]) for values in self.place(np.array([index])))
        return JANUARY + hour * HOUR + rank * HOUR // size


def _trips(rng: np.random.Generator, hours: _HourPlan, events: int, index: np.ndarray) -> Columns:
    """The trips with these indexes, in the order of pickup; money in cents, distance in 1/100 of a mile."""
    import numpy as np

    n = len(index)
    hour, rank, in_hour = hours.place(index)
    pickup = JANUARY + hour * HOUR + ((rank + rng.random(n)) * HOUR / in_hour).astype(np.int64)
    hour_of_day, weekday = hour % 24, hour // 24 % 7

    origin, destination = _zones(rng, n)
    origin_airport, destination_airport = _is_airport(origin), _is_airport(destination)
    downtown = _is(_MANHATTAN - _UPTOWN, origin) | _is(_MANHATTAN - _UPTOWN, destination)
    from_town, to_town = _is(_MANHATTAN, origin), _is(_MANHATTAN, destination)
    in_town = from_town & to_town

    miles = _distance(rng, origin, destination, in_town)
    longer = origin_airport | destination_airport
    speed = np.array(_SPEED)[hour_of_day] * np.where(longer, 1.9, np.where(in_town, 1.0, 1.3))
    speed = speed * np.exp(rng.standard_normal(n) * 0.22) * (miles / 200) ** 0.15
    seconds = _durations(miles / 100 / speed * HOUR, index)

    vendor = _choose(rng, _VENDORS, n)
    payment = _choose(rng, _PAYMENT, n)
    flat = (origin == JFK) & to_town | (destination == JFK) & from_town
    negotiated = rng.random(n) < 0.006
    rate = np.select([negotiated, flat, destination == NEWARK], [5, 2, 3], 1)

    # The meter: 3 dollars, then 70 cents for each fifth of a mile, or for each minute in slow traffic.
    slow_minutes = np.maximum(0, seconds / 60 - miles / 100 / 16 * 60)
    meter = 300 + 70 * (miles / 20 + slow_minutes).astype(np.int64)
    agreed = 500 * (2 + (rng.random(n) * 16).astype(np.int64))
    fare = np.select([rate == 5, rate == 2, rate == 3], [agreed, 7_000, meter + 2_000], meter)
    night = (hour_of_day >= 20) | (hour_of_day < 6)
    rush = (weekday < 5) & (hour_of_day >= 16) & (hour_of_day < 20)
    extra = np.select([rate == 5, rush & (rate == 2), rush, night & (rate != 2)], [0, 500, 250, 100], 0)
    mta_tax = np.where(rate == 3, 0, 50)
    toll_road = longer & (rng.random(n) < 0.55)
    tolls = np.select([(rate == 3) | (origin == NEWARK), toll_road], [1_275, 694], 0)
    improvement = np.full(n, 100)
    congestion = np.where(downtown, 250, 0)
    airport_fee = np.where((origin == JFK) | (origin == LAGUARDIA), 175, 0)
    charges = fare + extra + mta_tax + tolls + improvement + congestion + airport_fee
    tip = np.where(payment == _CARD, charges * _choose(rng, _TIP_PERCENT, n) // 100, 0)

    trips = {
        "VendorID": vendor,
        "tpep_pickup_datetime": pickup,
        "tpep_dropoff_datetime": pickup + seconds,
        "passenger_count": _choose(rng, _PASSENGERS, n),
        "trip_distance": miles,
        "RatecodeID": rate,
        "store_and_fwd_flag": rng.random(n) < 0.004,
        "PULocationID": origin,
        "DOLocationID": destination,
        "payment_type": payment,
        "fare_amount": fare,
        "extra": extra,
        "mta_tax": mta_tax,
        "tip_amount": tip,
        "tolls_amount": tolls,
        "improvement_surcharge": improvement,
        "total_amount": charges + tip,
        "congestion_surcharge": congestion,
        "Airport_fee": airport_fee,
        "arrival": pickup + seconds,
    }
    invalid = _break_rules(rng, trips, events, index, protected=(rank == 0) & hours.everywhere)
    _delay(rng, trips, events, index, hours, invalid)
    return trips


def _zones(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pickup and drop-off zones: mostly Manhattan and the airports, occasionally any other of the 263."""
    import numpy as np

    weights = np.full(263, 0.22)
    weights[np.array(sorted(_UPTOWN)) - 1] = 2.0
    weights[np.array(list(_BUSY_ZONES)) - 1] = list(_BUSY_ZONES.values())
    pickups = weights.copy()
    pickups[NEWARK - 1] = 0.1
    dropoffs = weights * 0.85 + 0.9
    dropoffs[[JFK - 1, LAGUARDIA - 1, NEWARK - 1]] = 11, 14, 3
    zones = dict(enumerate(pickups, 1)), dict(enumerate(dropoffs, 1))
    return _choose(rng, zones[0], n), _choose(rng, zones[1], n)


def _distance(rng: np.random.Generator, origin: np.ndarray, destination: np.ndarray, in_town: np.ndarray) -> np.ndarray:
    """Distance in hundredths of a mile, by the kind of trip."""
    import numpy as np

    n = len(origin)
    at = {zone: (origin == zone) ^ (destination == zone) for zone in (JFK, LAGUARDIA, NEWARK)}
    town = [at[JFK], at[NEWARK], at[LAGUARDIA], origin == destination, in_town]
    median = np.select(town, [16.8, 16.5, 9.6, 0.8, 1.6], 4.0)
    spread = np.select(town, [0.12, 0.12, 0.18, 0.5, 0.58], 0.55)
    return np.clip(median * np.exp(spread * rng.standard_normal(n)) * 100, 1, 6_000).astype(np.int64)


def _durations(seconds: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Duration of each trip in seconds: the last bits are those of the trip's index.

    So no two trips are equal, without a record of earlier trips: trips of the same second have consecutive indexes, and so differ
    in their drop-off. This works up to 64 pickups per second, about 80 million events.
    """
    import numpy as np

    rough = np.clip(seconds, DISTINCT_IN_A_SECOND, LONGEST_TRIP - DISTINCT_IN_A_SECOND).astype(np.int64)
    return rough // DISTINCT_IN_A_SECOND * DISTINCT_IN_A_SECOND + index % DISTINCT_IN_A_SECOND


def _break_rules(
    rng: np.random.Generator, trips: Columns, events: int, index: np.ndarray, protected: np.ndarray
) -> np.ndarray:
    """Make this batch's share of invalid events, without changing `protected` ones; return their places in the batch."""
    import numpy as np

    invalid, too_early = invalid_events(events)
    before, after = (int(edge) * invalid // events for edge in (index[0], index[-1] + 1))
    chosen = rng.permutation(np.flatnonzero(~protected))[: after - before]
    if len(chosen) < after - before:
        raise AssertionError(f"{after - before} invalid trips needed, but only {len(chosen)} can be changed")
    early_before, early_after = (edge * too_early // max(invalid, 1) for edge in (before, after))
    early, refunded = np.split(chosen, [early_after - early_before])

    # A whole month earlier: still distinct, and never in the window. The order of arrival does not change.
    for name in ("tpep_pickup_datetime", "tpep_dropoff_datetime"):
        trips[name][early] -= HOURS * HOUR
    trips["payment_type"][refunded] = _DISPUTE
    trips["total_amount"][refunded] -= trips["tip_amount"][refunded]
    trips["tip_amount"][refunded] = 0
    for name in ("fare_amount", "extra", "mta_tax", "tolls_amount", "improvement_surcharge", "total_amount",
                 "congestion_surcharge", "Airport_fee"):  # fmt: skip
        trips[name][refunded] *= -1
    return chosen


def _delay(
    rng: np.random.Generator, trips: Columns, events: int, index: np.ndarray, hours: _HourPlan, invalid: np.ndarray
) -> None:
    """Delay the arrival of all events by minutes, and that of this batch's share of valid ones by half a day or more."""
    import numpy as np

    n = len(index)
    trips["arrival"] += np.minimum(rng.exponential(_MEAN_DELAY, n), _LONGEST_DELAY).astype(np.int64)
    last_day = int(hours.starts[HOURS - 24])
    before, after = (min(int(edge), last_day) * late_events(events) // last_day for edge in (index[0], index[-1] + 1))
    is_candidate = index < last_day
    is_candidate[invalid] = False
    late = rng.permutation(np.flatnonzero(is_candidate))[: after - before]
    trips["arrival"][late] += ((12 + 12 * rng.random(len(late))) * HOUR).astype(np.int64)


def _batch(trips: Columns) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    flex_fare = trips["payment_type"] == _FLEX_FARE
    columns = []
    for name, kind in COLUMNS.items():
        if name not in trips:  # a column of a later contract: null
            columns.append(pa.nulls(len(flex_fare), arrow_type(kind)))
            continue
        values, unknown = trips[name], flex_fare if name in _UNKNOWN_FOR_FLEX_FARE else None
        if kind == "number":
            values = values / 100
        elif name == "store_and_fwd_flag":
            values = np.where(values, "Y", "N")
        elif kind == "timestamp":
            values = values.astype("datetime64[s]")
        columns.append(pa.array(values, arrow_type(kind), mask=unknown))
    return pa.record_batch(columns, names=list(COLUMNS))


def _choose(rng: np.random.Generator, weights: dict[int, float], n: int) -> np.ndarray:
    """`n` random keys, with these weights."""
    import numpy as np

    edges = np.cumsum(list(weights.values()))
    picked = np.searchsorted(edges, rng.random(n) * edges[-1], side="right")
    return np.array(list(weights), dtype=np.int64)[picked]


def _is(zones: set[int], values: np.ndarray) -> np.ndarray:
    import numpy as np

    member = np.zeros(264, bool)
    member[list(zones)] = True
    return member[values]


def _is_airport(values: np.ndarray) -> np.ndarray:
    return _is({JFK, LAGUARDIA, NEWARK}, values)
