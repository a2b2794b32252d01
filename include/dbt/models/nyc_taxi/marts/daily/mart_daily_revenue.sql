{{ config(unique_key="pickup_date") }}

select
    pickup_date,
    trip_count,
    passenger_count,
    distance_miles,
    total_amount as total_revenue,
    fare_amount as fare_revenue,
    tip_amount as tip_revenue,
    tolls_amount as toll_revenue,
    surcharge_amount as surcharge_revenue,
    airport_fee as airport_fee_revenue,
    {{ ratio("clean_amount", "clean_trip_count") }} as revenue_per_trip,
    {{ ratio("clean_amount", "clean_distance_miles") }} as revenue_per_mile,
    {{ ratio("clean_distance_miles", "clean_trip_count") }} as average_distance_miles,
    {{ ratio("clean_duration_minutes", "clean_trip_count") }} as average_duration_minutes,
    {{ percent("card_tip_amount", "card_fare_amount") }} as card_tip_percent,
    last_processed_at
from {{ ref("int_daily_summary") }}
where pickup_date in ({{ changed_dates() }})
