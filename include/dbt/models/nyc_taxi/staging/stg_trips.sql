{{ config(materialized="table") }}

-- The trips of this run: those that arrived in Silver since the newest trip of fct_trips, with some overlap. Silver is
-- only read here. fct_trips is looked up, not referenced, because it is built from this table.
{%- set fct_trips = adapter.get_relation(this.database, target.schema, "fct_trips") %}

select
    trip_id,
    vendor_id,
    rate_code_id,
    payment_type_id,
    pickup_location_id,
    dropoff_location_id,
    pickup_datetime,
    dropoff_datetime,
    pickup_date,
    pickup_hour,
    passenger_count,
    store_and_fwd_flag,
    trip_distance,
    trip_duration_minutes,
    fare_amount,
    extra,
    mta_tax,
    tip_amount,
    tolls_amount,
    improvement_surcharge,
    congestion_surcharge,
    airport_fee,
    total_amount,
    kafka_partition,
    kafka_offset,
    processed_at
from {{ source("silver", "cleaned_trips") }}
where {{ arrived_since_newest(fct_trips, "processed_at") }}
