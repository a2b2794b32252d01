{{ config(unique_key="pickup_date") }}

select
    pickup_date,
    pickup_location_id,
    dropoff_location_id,
    count(*) as trip_count,
    {{ total("total_amount") }} as total_revenue,
    {{ average_of_clean("total_amount") }} as revenue_per_trip,
    {{ average_of_clean(exact("trip_distance")) }} as average_distance_miles,
    {{ average_of_clean(exact("trip_duration_minutes")) }} as average_duration_minutes,
    round(median(trip_duration_minutes) filter (where is_clean), 2) as median_duration_minutes,
    {{ ratio(total(exact("trip_distance"), "is_clean"), total(exact("trip_duration_minutes"), "is_clean") ~ " / 60") }}
        as average_speed_mph
from {{ ref("fct_trips") }}
where pickup_date in ({{ changed_dates() }})
group by pickup_date, pickup_location_id, dropoff_location_id
