{{ config(unique_key="pickup_date") }}

select
    pickup_date,
    vendor_id,
    count(*) as trip_count,
    count(*) filter (where is_clean) as clean_trip_count,
    {{ percent("count(*) filter (where is_clean)", "count(*)") }} as clean_percent,
    count(*) filter (where has_unlisted_code) as unlisted_code_count,
    count(*) filter (where has_no_passengers) as no_passengers_count,
    count(*) filter (where has_no_total) as no_total_count,
    count(*) filter (where has_implausible_distance) as implausible_distance_count,
    count(*) filter (where has_implausible_duration) as implausible_duration_count,
    count(*) filter (where has_implausible_speed) as implausible_speed_count
from {{ ref("fct_trips") }}
where pickup_date in ({{ changed_dates() }})
group by pickup_date, vendor_id
