-- All staged trips except late duplicates have Silver's values; only codes may be replaced, and that is flagged.
{%- set kept %}
    trip_id, pickup_datetime, dropoff_datetime, pickup_date, pickup_hour, passenger_count, store_and_fwd_flag,
    trip_distance, trip_duration_minutes, fare_amount, extra, mta_tax, tip_amount, tolls_amount, improvement_surcharge,
    congestion_surcharge, airport_fee, total_amount, processed_at
{%- endset %}
select {{ kept }}
from {{ ref("stg_trips") }}
anti join {{ ref("late_duplicates") }} using (kafka_partition, kafka_offset)
except
select {{ kept }} from {{ ref("fct_trips") }}
where pickup_date in (select staged.pickup_date from {{ ref("stg_trips") }} as staged)
