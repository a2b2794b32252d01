{{ config(unique_key="pickup_date") }}

select
    pickup_date,
    pickup_location_id,
    dropoff_location_id,
    count(*) as trip_count,
    {{ total("total_amount") }} as total_revenue,
    {{ ratio(total("total_amount"), "count(*)") }} as revenue_per_trip,
    {{ ratio(total(exact("trip_distance")), "count(*)") }} as average_distance_miles,
    {{ ratio(total(exact("trip_duration_minutes")), "count(*)") }} as average_duration_minutes,
    round(median(trip_duration_minutes), 2) as median_duration_minutes,
    {{ ratio(total(exact("trip_distance")), total(exact("trip_duration_minutes")) ~ " / 60") }} as average_speed_mph
from {{ ref("fct_trips") }}
where pickup_date in ({{ changed_dates() }})
group by pickup_date, pickup_location_id, dropoff_location_id
