"""Builds `silver.cleaned_trips` as an Iceberg table in a folder, so that Gold can be tested without Kafka or Flink."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from taxi_generator import synthetic

AMOUNTS = (
    "fare_amount", "extra", "mta_tax", "tip_amount", "tolls_amount", "improvement_surcharge", "total_amount",
    "congestion_surcharge", "airport_fee",
)  # fmt: skip
COLUMNS = {
    "trip_id": StringType(),
    "vendor_id": IntegerType(),
    "pickup_datetime": TimestampType(),
    "dropoff_datetime": TimestampType(),
    "passenger_count": IntegerType(),
    "trip_distance": DoubleType(),
    "rate_code_id": IntegerType(),
    "store_and_fwd_flag": StringType(),
    "pickup_location_id": IntegerType(),
    "dropoff_location_id": IntegerType(),
    "payment_type_id": IntegerType(),
    **dict.fromkeys(AMOUNTS, DecimalType(10, 2)),
    "trip_duration_minutes": DoubleType(),
    "pickup_date": DateType(),
    "pickup_hour": IntegerType(),
    "kafka_partition": IntegerType(),
    "kafka_offset": LongType(),
    "processed_at": TimestamptzType(),
}
SCHEMA = Schema(*(NestedField(i, name, kind, required=False) for i, (name, kind) in enumerate(COLUMNS.items(), 1)))
BY_PICKUP_DATE = PartitionSpec(
    PartitionField(SCHEMA.find_field("pickup_date").field_id, 1000, IdentityTransform(), "pickup_date")
)

# Silver's derived columns, computed from a relation with the others except processed_at.
DERIVE = """
select
    md5(concat_ws('|',
        coalesce(vendor_id::varchar, ''), strftime(pickup_datetime, '%Y-%m-%d %H:%M:%S'),
        strftime(dropoff_datetime, '%Y-%m-%d %H:%M:%S'), coalesce(pickup_location_id::varchar, ''),
        coalesce(dropoff_location_id::varchar, ''), fare_amount::varchar, coalesce(total_amount::varchar, ''))) as trip_id,
    *,
    round(epoch(dropoff_datetime - pickup_datetime) / 60, 2)::double as trip_duration_minutes,
    pickup_datetime::date as pickup_date,
    hour(pickup_datetime)::integer as pickup_hour,
    0 as kafka_partition,
    row_number() over ()::bigint as kafka_offset,
    ?::timestamptz as processed_at
from ({trips})
where trip_distance >= 0 and fare_amount >= 0
    and pickup_datetime >= '2024-01-01' and pickup_datetime < '2024-02-01'
qualify row_number() over (partition by trip_id order by pickup_datetime) = 1
"""

# Events with TLC's names, cast to Silver's types.
EVENTS = """
select
    VendorID::integer as vendor_id, tpep_pickup_datetime::timestamp as pickup_datetime,
    tpep_dropoff_datetime::timestamp as dropoff_datetime, passenger_count::integer as passenger_count,
    trip_distance::double as trip_distance, RatecodeID::integer as rate_code_id, store_and_fwd_flag,
    PULocationID::integer as pickup_location_id, DOLocationID::integer as dropoff_location_id,
    payment_type::integer as payment_type_id, fare_amount::decimal(10, 2) as fare_amount,
    extra::decimal(10, 2) as extra, mta_tax::decimal(10, 2) as mta_tax, tip_amount::decimal(10, 2) as tip_amount,
    tolls_amount::decimal(10, 2) as tolls_amount, improvement_surcharge::decimal(10, 2) as improvement_surcharge,
    total_amount::decimal(10, 2) as total_amount, congestion_surcharge::decimal(10, 2) as congestion_surcharge,
    Airport_fee::decimal(10, 2) as airport_fee
from {events}
"""

# Trip i has its pickup in hour i of January, so that any 744 consecutive ones cover all hours. Everything else is
# derived from a hash of i: amounts and codes are missing, and codes unlisted, more often than in the published files.
ODD_TRIPS = """
with drawn as (
    select i, hash(i) % 1000 as a, hash(i + 1000000) % 1000 as b, hash(i + 2000000) % 1000 as c
    from range({first}, {last}) t (i)
),
priced as (
    select *, ((a * 7 + b) % 6000 / 100 + 3)::decimal(10, 2) as fare_amount, (c % 900 / 100)::decimal(10, 2) as tip_amount,
        timestamp '2024-01-01' + to_hours((i % 744)::int) + to_seconds((a * 3 + i % 97)::int) as pickup_datetime
    from drawn
)
select
    case when a % 50 = 0 then null when a % 51 = 0 then 9 else 1 + a % 2 end::integer as vendor_id, pickup_datetime,
    pickup_datetime + to_seconds((60 + (b * 13 + c) % 5400)::int) as dropoff_datetime,
    case when b % 20 = 0 then null else c % 7 end::integer as passenger_count,
    (c * 31 % 2500 / 100)::double as trip_distance,
    case when b % 20 = 0 then null else 1 + b % 6 end::integer as rate_code_id,
    if(a % 99 = 0, 'Y', 'N') as store_and_fwd_flag,
    case when b % 70 = 0 then 132 when b % 71 = 0 then null else 1 + (a + c) % 265 end::integer as pickup_location_id,
    case when c % 60 = 0 then 138 else 1 + (a + b) % 265 end::integer as dropoff_location_id,
    (c % 5)::integer as payment_type_id, fare_amount, 1::decimal(10, 2) as extra, 0.5::decimal(10, 2) as mta_tax,
    tip_amount, 0::decimal(10, 2) as tolls_amount, 1::decimal(10, 2) as improvement_surcharge,
    case when a % 200 = 7 then null else (fare_amount + tip_amount + 5)::decimal(10, 2) end as total_amount,
    case when b % 20 = 0 then null else 2.5 end::decimal(10, 2) as congestion_surcharge,
    case when b % 70 = 0 then 1.75 else 0 end::decimal(10, 2) as airport_fee
from priced
"""


def file_trips(path: Path, processed_at: str) -> pa.Table:
    """The events of a TLC file that conform to Silver's rules."""
    return silver_rows(EVENTS.format(events=f"read_csv('{path}')"), processed_at)


def generated_trips(events: int, processed_at: str) -> pa.Table:
    """The same for a number of events of the platform's generator."""
    batches = pa.Table.from_batches(synthetic.batches(seed=42, events=events))
    return silver_rows(EVENTS.format(events="events"), processed_at, events=batches)


def odd_trips(first: int, last: int, processed_at: str) -> pa.Table:
    """Trips `first` to `last` (excluded) of a fixed series with many missing values."""
    return silver_rows(ODD_TRIPS.format(first=first, last=last), processed_at)


def silver_rows(trips: str, processed_at: str, **sources: pa.Table) -> pa.Table:
    """What Silver makes of trips.

    :param trips: a query of the columns of `EVENTS`
    :param processed_at: when they arrive
    :param sources: tables that the query reads, by name
    """
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, source in sources.items():
            connection.register(name, source)
        table = connection.execute(DERIVE.format(trips=trips), [processed_at]).to_arrow_table()
    return table.select(list(COLUMNS)).cast(SCHEMA.as_arrow())


class Silver:
    """An Iceberg table with the schema of `silver.cleaned_trips`; each append is a commit with its own metadata file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        catalog = SqlCatalog("silver", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
        catalog.create_namespace("silver")
        self._table = catalog.create_table("silver.cleaned_trips", SCHEMA, partition_spec=BY_PICKUP_DATE)
        self._next_offset = 0

    def add_amount(self, name: str) -> None:
        """Add a column for an amount to the table."""
        self._table.update_schema().add_column(name, DecimalType(10, 2)).commit()

    def append(self, trips: pa.Table) -> str:
        """Commit trips with the next offsets, and return the commit's metadata file."""
        place = trips.schema.get_field_index("kafka_offset")
        offsets = pa.array(range(self._next_offset, self._next_offset + trips.num_rows), pa.int64())
        self._next_offset += trips.num_rows
        self._table.append(trips.set_column(place, "kafka_offset", offsets))
        return self.metadata

    @property
    def metadata(self) -> str:
        """The table's current metadata file."""
        return self._table.metadata_location
