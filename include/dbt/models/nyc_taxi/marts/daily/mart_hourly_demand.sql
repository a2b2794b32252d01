{{ config(unique_key="pickup_date") }}

select
    pickup_date,
    pickup_hour,
    case
        when pickup_hour < 6 then 'night'
        when pickup_hour < 10 then 'morning peak'
        when pickup_hour < 16 then 'midday'
        when pickup_hour < 20 then 'evening peak'
        else 'evening'
    end as time_band,
    trip_count,
    {{ percent("trip_count", "sum(trip_count) over (partition by pickup_date)") }} as share_of_day_percent,
    pickup_zone_count,
    passenger_count,
    total_amount as total_revenue,
    {{ ratio("clean_amount", "clean_trip_count") }} as revenue_per_trip,
    {{ ratio("clean_distance_miles", "clean_trip_count") }} as average_distance_miles,
    {{ ratio("clean_duration_minutes", "clean_trip_count") }} as average_duration_minutes
from {{ ref("int_hourly_patterns") }}
where pickup_date in ({{ changed_dates() }})
