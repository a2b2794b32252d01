with expected as (
    select count(*) as trip_count
    from {{ ref("stg_trips") }}
    anti join {{ ref("late_duplicates") }} using (kafka_partition, kafka_offset)
),

actual as (select count(*) as trip_count from {{ ref("int_trip_metrics") }})

select
    actual.trip_count as actual,
    expected.trip_count as expected
from actual
cross join expected
where actual.trip_count <> expected.trip_count
