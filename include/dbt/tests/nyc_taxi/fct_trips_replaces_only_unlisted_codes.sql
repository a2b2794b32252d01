select trip_id
from {{ ref("stg_trips") }} as staged
anti join {{ ref("late_duplicates") }} using (kafka_partition, kafka_offset)
inner join {{ ref("fct_trips") }} as trips using (trip_id, pickup_date)
where
    not trips.has_unlisted_code
    and (
        staged.vendor_id,
        staged.rate_code_id,
        staged.payment_type_id,
        staged.pickup_location_id,
        staged.dropoff_location_id
    ) is distinct from (
        trips.vendor_id,
        trips.rate_code_id,
        trips.payment_type_id,
        trips.pickup_location_id,
        trips.dropoff_location_id
    )
